//! `CommonTlsContext.key_log`: the secrets of connections in a file, by which Wireshark and its like read what
//! went over them (the key log format of NSS).

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::TlsKeyLog;
use dragoman_types::Faults;
use rustls::KeyLog;

/// A file that is opened with the first line: what is only compiled leaves no trace.
#[derive(Debug)]
struct KeyLogFile {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

/// `None`: none is wanted, or a fault (`unsupported`, `missing`: its folder).
pub(super) fn compile(message: Option<&TlsKeyLog>, faults: &mut Faults) -> Option<Arc<dyn KeyLog>> {
    let message = message?;
    faults.field("key_log", |faults| {
        for (field, ranges) in [
            ("local_address_range", &message.local_address_range),
            ("remote_address_range", &message.remote_address_range),
        ] {
            if !ranges.is_empty() {
                faults.add_at(field, "unsupported", "the keys of all connections are logged");
            }
        }
        let path = PathBuf::from(&message.path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            faults.add_at("path", "missing", format!("{}: there is no such folder", message.path));
        }
        Some(Arc::new(KeyLogFile { path, file: Mutex::default() }) as Arc<dyn KeyLog>)
    })
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = String::with_capacity(200);
        line.push_str(label);
        for part in [client_random, secret] {
            line.push(' ');
            for byte in part {
                // A string takes all that is written to it.
                let _ = write!(line, "{byte:02x}");
            }
        }
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            // Nobody else may read it.
            *file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path).ok();
        }
        // One write a line, so that files which others write too stay whole. A full disk costs lines, not
        // connections.
        let _ = file.as_mut().map(|file| file.write_all(line.as_bytes()));
    }
}
