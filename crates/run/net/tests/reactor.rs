//! What the reactor promises its tasks.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use dragoman_net::{Reactor, Socket, SocketOptions, bind, clock, connect, others_first};
use dragoman_types::Address;

const OPTIONS: SocketOptions =
    SocketOptions { backlog: 16, reuse_port: false, ipv4_compat: false, pipe_mode: 0 };

fn run<T: 'static>(body: impl AsyncFnOnce(Reactor) -> T + 'static) -> T {
    let reactor = Reactor::new().unwrap();
    let inner = reactor.clone();
    let done = reactor.block_on(async move { body(inner).await }).unwrap();
    reactor.end();
    done
}

async fn pair(reactor: &Reactor, at: &Address) -> (Socket, Socket) {
    let bound = bind(at, 1, OPTIONS).unwrap();
    let listener = bound.listener(reactor, 0).unwrap();
    let near = connect(reactor, &bound.address, None).await.unwrap();
    let (far, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (near, far)
}

fn loopback() -> Address {
    Address::Ip("127.0.0.1:0".parse().unwrap())
}

async fn read(socket: &mut Socket, room: &mut [u8]) -> usize {
    poll_fn(|cx| socket.poll_read(cx, room)).await.unwrap()
}

async fn write_all(socket: &mut Socket, data: &[u8]) {
    let mut at = 0;
    while at < data.len() {
        at += poll_fn(|cx| socket.poll_write(cx, &data[at..])).await.unwrap();
    }
}

/// Tells when it's dropped.
struct Guard(Rc<Cell<u32>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn an_aborted_task_is_dropped_at_the_next_turn_and_no_other() {
    let drops = Rc::new(Cell::new(0));
    let counted = drops.clone();
    run(async move |reactor| {
        let guard = || Guard(counted.clone());
        let hold = |guard: Guard| async move {
            let _guard = guard;
            pending::<()>().await;
        };
        let (first, _second) = (reactor.spawn(hold(guard())), reactor.spawn(hold(guard())));
        others_first().await;
        first.abort();
        assert_eq!(counted.get(), 0);
        others_first().await;
        assert_eq!(counted.get(), 1);
        // Its place is another's now; the old handle can't end that one.
        let _third = reactor.spawn(hold(guard()));
        first.abort();
        others_first().await;
        others_first().await;
        assert_eq!(counted.get(), 1);
    });
    // The end drops the rest.
    assert_eq!(drops.get(), 3);
}

#[test]
fn a_panic_ends_its_task_only() {
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    run(async move |reactor| {
        reactor.spawn(async move {
            let _guard = guard;
            std::panic::resume_unwind(Box::new("a panic that the test wants"));
        });
        others_first().await;
        others_first().await;
    });
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_waker_works_from_another_thread_and_after_its_task() {
    let waker = run(async |_| {
        let mut sent = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut sent, true) {
                return Poll::Ready(cx.waker().clone());
            }
            let waker = cx.waker().clone();
            std::thread::spawn(move || waker.wake());
            Poll::Pending
        })
        .await
    });
    // Neither the task nor its reactor is there any more.
    waker.wake();
}

#[test]
fn tasks_wake_each_other() {
    run(async |reactor| {
        let waiting: Rc<RefCell<Option<Waker>>> = Rc::default();
        let done = Rc::new(Cell::new(false));
        let (theirs, told) = (waiting.clone(), done.clone());
        reactor.spawn(async move {
            let mut asked = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                *theirs.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
            told.set(true);
        });
        others_first().await;
        assert!(!done.get());
        waiting.take().unwrap().wake();
        others_first().await;
        assert!(done.get());
    });
}

#[test]
fn a_task_that_always_has_something_to_do_lets_others_have_a_turn() {
    run(async |reactor| {
        let (mut near, mut far) = pair(&reactor, &loopback()).await;
        write_all(&mut near, &[b'x'; 10_000]).await;
        let reads = Rc::new(Cell::new(0));
        let count = reads.clone();
        reactor.spawn(async move {
            // Full reads: the socket is never known to be drained.
            while read(&mut far, &mut [0; 1]).await > 0 {
                count.set(count.get() + 1);
            }
        });
        while reads.get() == 0 {
            others_first().await;
        }
        assert!(reads.get() < 1000, "{} reads in one turn", reads.get());
        while reads.get() < 10_000 {
            others_first().await;
        }
    });
}

#[test]
fn bytes_that_come_before_the_end_are_read_and_then_the_end() {
    for at in [loopback(), Address::Pipe("@dragoman-reactor-test".into())] {
        run(async move |reactor| {
            let (mut near, mut far) = pair(&reactor, &at).await;
            write_all(&mut near, b"all of it").await;
            near.shutdown().unwrap();
            let mut room = [0; 64];
            assert_eq!(read(&mut far, &mut room).await, 9);
            assert_eq!(read(&mut far, &mut room).await, 0);
            assert_eq!(read(&mut far, &mut room).await, 0);
            assert!(far.has_news());
            // The other way still works.
            write_all(&mut far, b"answer").await;
            assert_eq!(read(&mut near, &mut room).await, 6);
            assert!(!near.has_news());
        });
    }
}

#[test]
fn more_than_the_kernel_takes_is_written_as_it_is_read() {
    const LENGTH: usize = 8 << 20;
    run(async |reactor| {
        let (mut near, mut far) = pair(&reactor, &loopback()).await;
        let sum = Rc::new(Cell::new(0));
        let total = sum.clone();
        reactor.spawn(async move {
            let mut room = vec![0; 64 << 10];
            loop {
                match read(&mut far, &mut room).await {
                    0 => return,
                    n => total.set(total.get() + n),
                }
            }
        });
        write_all(&mut near, &vec![b'x'; LENGTH]).await;
        while sum.get() < LENGTH {
            others_first().await;
        }
    });
}

#[test]
fn a_refused_connection_says_so() {
    run(async |reactor| {
        let bound = bind(&loopback(), 1, OPTIONS).unwrap();
        let address = bound.address.clone();
        drop(bound);
        let error = connect(&reactor, &address, None).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn places_of_closed_sockets_are_used_again() {
    run(async |reactor| {
        for _ in 0..100 {
            let (mut near, mut far) = pair(&reactor, &loopback()).await;
            write_all(&mut near, b"ping").await;
            assert_eq!(read(&mut far, &mut [0; 8]).await, 4);
        }
        assert!(reactor.watched() < 16, "{} places", reactor.watched());
    });
}

#[test]
fn a_deadline_that_is_dropped_wakes_nobody() {
    run(async |reactor| {
        let soon = clock::now().after(Duration::from_millis(5));
        let mut dropped = reactor.deadline();
        poll_fn(|cx| {
            assert!(dropped.poll_at(cx, Some(soon)).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(dropped);
        let mut polls = 0;
        let mut later = reactor.deadline();
        let at = Some(soon.after(Duration::from_millis(5)));
        poll_fn(|cx| {
            polls += 1;
            later.poll_at(cx, at)
        })
        .await;
        assert_eq!(polls, 2);
    });
}

#[test]
fn a_thread_has_one_reactor() {
    let first = Reactor::new().unwrap();
    assert!(Reactor::new().is_err());
    first.end();
    let second = Reactor::new().unwrap();
    second.end();
}
