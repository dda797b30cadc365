//! One thread's loop: what sockets have to tell, tasks, and moments that were waited for.
//!
//! Strategy: a turn polls the tasks that were woken, asks the kernel once, and wakes whom its answer
//! or the clock concerns. A socket keeps what is known of it in a cell, so a task that waits
//! registers nobody anywhere; a waker is a number, so keeping one costs no counting of references.

mod readiness;
mod tasks;
mod timers;
mod waker;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dragoman_types::Moment;
use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};

use crate::clock;
use crate::deadline::Deadline;
pub(crate) use readiness::{Direction, Source};
use readiness::{Readiness, Sources};
pub use tasks::Task;
use tasks::Tasks;
pub(crate) use timers::Timer;
use timers::Timers;

/// Events that are taken from the kernel at once.
const EVENTS: usize = 256;

/// Reads, writes and accepts of one poll of a task; then the others have their turn.
const BUDGET: u32 = 64;

/// The token of [`Caller`]; sockets count from zero.
const CALLED: Token = Token(usize::MAX);

/// One thread's loop, and a handle to it. There is one a thread.
#[derive(Clone, Debug)]
pub struct Reactor {
    core: Rc<Core>,
}

#[derive(Debug)]
pub(crate) struct Core {
    poll: RefCell<(mio::Poll, Events)>,
    registry: Registry,
    sources: RefCell<Sources>,
    tasks: Rc<Tasks>,
    timers: RefCell<Timers>,
    /// When the kernel was last asked: every timer up to here has fired.
    turned: Cell<Moment>,
    budget: Cell<u32>,
    caller: Caller,
}

/// Ends the present or next wait of a reactor, from any thread.
#[derive(Clone, Debug)]
pub struct Caller(Arc<mio::Waker>);

impl Caller {
    pub fn call(&self) {
        // It fails only when the reactor's descriptor is gone, and with it who would listen.
        let _ = self.0.wake();
    }
}

/// What a turn met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// A [`Caller`] called.
    pub called: bool,
}

impl Reactor {
    /// The reactor of this thread.
    ///
    /// # Errors
    /// When the kernel gives no descriptor, or this thread has a reactor already.
    pub fn new() -> io::Result<Reactor> {
        let poll = mio::Poll::new()?;
        let caller = Caller(Arc::new(mio::Waker::new(poll.registry(), CALLED)?));
        let core = Core {
            registry: poll.registry().try_clone()?,
            poll: RefCell::new((poll, Events::with_capacity(EVENTS))),
            sources: RefCell::default(),
            tasks: Tasks::of_this_thread(caller.clone())?,
            timers: RefCell::default(),
            turned: Cell::new(clock::now()),
            budget: Cell::new(BUDGET),
            caller,
        };
        Ok(Reactor { core: Rc::new(core) })
    }

    pub fn caller(&self) -> Caller {
        self.core.caller.clone()
    }

    /// Runs `future` beside the others. A panic ends it alone.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Task {
        self.core.tasks.spawn(Box::pin(future))
    }

    /// The first half of a turn: polls each task that waits to be, once.
    pub fn poll_woken(&self) {
        self.core.poll_woken();
    }

    /// The second half: waits, not beyond `until`, for tasks to be woken.
    ///
    /// # Errors
    /// When the kernel refuses to be asked.
    pub fn wait(&self, until: Moment) -> io::Result<Turn> {
        self.core.ask(until)
    }

    /// Runs until `future` is done.
    ///
    /// # Errors
    /// As [`wait`](Reactor::wait).
    pub fn block_on<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> io::Result<T> {
        let done = Rc::new(Cell::new(None));
        let told = done.clone();
        self.spawn(async move { told.set(Some(future.await)) });
        loop {
            self.poll_woken();
            if let Some(output) = done.take() {
                return Ok(output);
            }
            self.wait(clock::now().after(Duration::from_secs(60)))?;
        }
    }

    /// Drops all tasks.
    pub fn end(&self) {
        self.core.tasks.end();
    }

    /// A deadline for a task of this reactor.
    pub fn deadline(&self) -> Deadline {
        Deadline::new(self)
    }

    /// How many descriptors were watched at most at one time.
    pub fn watched(&self) -> usize {
        self.core.sources.borrow().places()
    }

    /// Ready after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        let until = Some(clock::now().after(duration));
        let mut deadline = self.deadline();
        std::future::poll_fn(|cx| deadline.poll_at(cx, until)).await;
    }

    /// What `fd` has to tell is known from here on.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Source> {
        let slot = self.core.sources.borrow_mut().reserve();
        let watched = self.core.registry.register(
            &mut SourceFd(&fd.as_raw_fd()),
            Token(slot as usize),
            interest,
        );
        match watched {
            Ok(()) => {
                let readiness = Rc::new(Readiness::new(slot));
                self.core.sources.borrow_mut().fill(slot, readiness.clone());
                Ok(Source::new(self.clone(), readiness))
            }
            Err(error) => {
                self.core.sources.borrow_mut().free(slot);
                Err(error)
            }
        }
    }

    /// `fd` is watched no more, though its description may stay open elsewhere.
    pub(crate) fn unwatch(&self, fd: BorrowedFd<'_>) {
        // One that isn't watched needs nothing.
        let _ = self.core.registry.deregister(&mut SourceFd(&fd.as_raw_fd()));
    }

    fn free(&self, slot: u32) {
        self.core.sources.borrow_mut().free(slot);
    }

    /// Whether the present poll may do one thing more.
    fn spend(&self) -> bool {
        let left = self.core.budget.get();
        self.core.budget.set(left.saturating_sub(1));
        left > 0
    }

    /// A few things more, whatever is left.
    pub(crate) fn grant(&self) {
        const GRANTED: u32 = 8;
        self.core.budget.set(self.core.budget.get().max(GRANTED));
    }

    /// Every timer up to this moment has fired.
    pub fn turned(&self) -> Moment {
        self.core.turned.get()
    }

    pub(crate) fn arm(&self, at: Moment, waker: &Waker) -> Timer {
        self.core.timers.borrow_mut().arm(at, waker.clone())
    }

    pub(crate) fn disarm(&self, timer: Timer) {
        self.core.timers.borrow_mut().disarm(timer);
    }
}

impl Core {
    /// Polls each task that waits to be, once.
    fn poll_woken(&self) {
        for _ in 0..self.tasks.waiting() {
            let Some((id, mut future)) = self.tasks.next() else { return };
            self.budget.set(BUDGET);
            let waker = id.waker();
            let done = catch(|| future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
            match done {
                Some(false) => self.tasks.keep(id, future),
                _ => {
                    self.tasks.remove(id);
                    drop_quietly(future);
                }
            }
        }
    }

    /// Asks the kernel and the clock, and wakes.
    fn ask(&self, until: Moment) -> io::Result<Turn> {
        let mut poll = self.poll.borrow_mut();
        let (poll, events) = &mut *poll;
        let timeout = match self.tasks.waiting() {
            0 => {
                let next = self.timers.borrow().next();
                let until = next.into_iter().chain([until]).min().unwrap_or(until);
                until.since(self.turned.get())
            }
            _ => Duration::ZERO,
        };
        match poll.poll(events, Some(timeout)) {
            Ok(()) => {}
            // Its events, if any, are told again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => return Err(error),
        }
        self.turned.set(clock::now());
        let mut called = false;
        for event in events.iter() {
            match event.token() {
                CALLED => called = true,
                Token(slot) => self.sources.borrow().tell(slot, event),
            }
        }
        self.sources.borrow_mut().turned();
        self.timers.borrow_mut().fire(self.turned.get());
        if called {
            self.tasks.hear();
        }
        Ok(Turn { called })
    }
}

/// Lets the other tasks that wait have a turn.
pub async fn others_first() {
    let mut polled = false;
    std::future::poll_fn(|cx| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

/// `None`: it panicked; the hook has told of it.
fn catch<T>(run: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).ok()
}

fn drop_quietly(future: Boxed) {
    catch(|| drop(future));
}
