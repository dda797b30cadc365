//! The tasks of a thread, and which of them wait to be polled.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use super::{Boxed, Caller, drop_quietly};

/// A task: the reactor, its place there, and how many tasks had this place before (modulo).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskId(usize);

const INDEX_BITS: u32 = 26;
const GENERATION_BITS: u32 = 26;
const MOST: usize = 1 << INDEX_BITS;

impl TaskId {
    fn new(reactor: usize, index: usize, generation: u32) -> TaskId {
        let generation = generation as usize & ((1 << GENERATION_BITS) - 1);
        TaskId((reactor << GENERATION_BITS | generation) << INDEX_BITS | index)
    }

    pub(super) fn word(self) -> usize {
        self.0
    }

    pub(super) fn from_word(word: usize) -> TaskId {
        TaskId(word)
    }

    fn index(self) -> usize {
        self.0 & (MOST - 1)
    }

    fn reactor(self) -> usize {
        self.0 >> (INDEX_BITS + GENERATION_BITS)
    }
}

/// A task's place.
#[derive(Default)]
struct Slot {
    generation: u32,
    state: State,
    /// It stands in the queue.
    queued: bool,
    /// It's to be dropped rather than polled.
    aborted: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Free,
    Waiting(Boxed),
    Polled,
}

pub(super) struct Tasks {
    reactor: usize,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    queue: RefCell<VecDeque<TaskId>>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("reactor", &self.reactor).finish_non_exhaustive()
    }
}

/// How a thread's reactor hears of what other threads woke.
struct Remote {
    woken: Vec<TaskId>,
    caller: Caller,
}

static REMOTES: Mutex<BTreeMap<usize, Remote>> = Mutex::new(BTreeMap::new());

thread_local! {
    static OURS: RefCell<Option<Rc<Tasks>>> = const { RefCell::new(None) };
}

/// Puts a task in its thread's queue; one that is gone is passed over.
pub(super) fn wake(id: TaskId) {
    let here = OURS.try_with(|ours| {
        let ours = ours.borrow();
        let tasks = ours.as_ref().filter(|tasks| tasks.reactor == id.reactor());
        tasks.map(|tasks| tasks.schedule(id)).is_some()
    });
    if here != Ok(true) {
        let mut remotes = REMOTES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remote) = remotes.get_mut(&id.reactor()) {
            remote.woken.push(id);
            remote.caller.call();
        }
    }
}

impl Tasks {
    /// # Errors
    /// When this thread has tasks already, or the process as many reactors as wakers can tell apart.
    pub(super) fn of_this_thread(caller: Caller) -> io::Result<Rc<Tasks>> {
        let mut remotes = REMOTES.lock().unwrap_or_else(PoisonError::into_inner);
        let most = 1 << (usize::BITS - INDEX_BITS - GENERATION_BITS);
        let reactor = (0..most).find(|n| !remotes.contains_key(n));
        let reactor = reactor.ok_or_else(|| io::Error::other("too many reactors"))?;
        let tasks = Rc::new(Tasks {
            reactor,
            slots: RefCell::default(),
            free: RefCell::default(),
            queue: RefCell::default(),
        });
        OURS.with(|ours| match &mut *ours.borrow_mut() {
            Some(_) => Err(io::Error::other("this thread has a reactor already")),
            none => {
                *none = Some(tasks.clone());
                Ok(())
            }
        })?;
        remotes.insert(reactor, Remote { woken: Vec::new(), caller });
        Ok(tasks)
    }

    pub(super) fn spawn(self: &Rc<Tasks>, future: Boxed) -> Task {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().map_or(slots.len(), |free| free as usize);
        if index == slots.len() {
            slots.push(Slot::default());
        }
        let slot = &mut slots[index];
        slot.state = State::Waiting(future);
        slot.queued = true;
        let id = TaskId::new(self.reactor, index, slot.generation);
        self.queue.borrow_mut().push_back(id);
        Task { tasks: self.clone(), id }
    }

    /// How many wait to be polled.
    pub(super) fn waiting(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Tasks that other threads woke take their places in the queue.
    pub(super) fn hear(&self) {
        let mut remotes = REMOTES.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = remotes.get_mut(&self.reactor).map(|remote| std::mem::take(&mut remote.woken));
        drop(remotes);
        for id in woken.unwrap_or_default() {
            self.schedule(id);
        }
    }

    fn with<T>(&self, id: TaskId, act: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(id.index())?;
        let present = TaskId::new(self.reactor, id.index(), slot.generation) == id;
        (present && !matches!(slot.state, State::Free)).then(|| act(slot))
    }

    fn schedule(&self, id: TaskId) {
        let queued = self.with(id, |slot| std::mem::replace(&mut slot.queued, true));
        if queued == Some(false) {
            self.queue.borrow_mut().push_back(id);
        }
    }

    /// The next task to poll; it's given back by [`keep`](Tasks::keep) or ended by
    /// [`remove`](Tasks::remove). Aborted ones end on the way.
    pub(super) fn next(&self) -> Option<(TaskId, Boxed)> {
        loop {
            let id = self.queue.borrow_mut().pop_front()?;
            let found = self.with(id, |slot| {
                slot.queued = false;
                match std::mem::replace(&mut slot.state, State::Polled) {
                    State::Waiting(future) => Some((future, slot.aborted)),
                    _ => None,
                }
            });
            match found.flatten() {
                Some((future, false)) => return Some((id, future)),
                Some((future, true)) => {
                    self.remove(id);
                    drop_quietly(future);
                }
                None => {}
            }
        }
    }

    pub(super) fn keep(&self, id: TaskId, future: Boxed) {
        self.with(id, |slot| slot.state = State::Waiting(future));
    }

    pub(super) fn remove(&self, id: TaskId) {
        let removed = self.with(id, |slot| {
            *slot = Slot { generation: slot.generation.wrapping_add(1), ..Slot::default() };
        });
        if removed.is_some() {
            self.free.borrow_mut().push(id.index() as u32);
        }
    }

    /// Drops all tasks, and those that they begin while they are dropped.
    pub(super) fn end(&self) {
        let mut index = 0;
        while index < self.slots.borrow().len() {
            let slot = std::mem::take(&mut self.slots.borrow_mut()[index]);
            if let State::Waiting(future) = slot.state {
                drop_quietly(future);
            }
            index += 1;
        }
        self.slots.borrow_mut().clear();
        self.free.borrow_mut().clear();
        self.queue.borrow_mut().clear();
        REMOTES.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.reactor);
        // Nobody is left to be told when the thread itself is ending.
        let _ = OURS.try_with(|ours| ours.borrow_mut().take());
    }
}

/// A spawned task.
#[derive(Clone, Debug)]
pub struct Task {
    tasks: Rc<Tasks>,
    id: TaskId,
}

impl Task {
    /// Has it dropped at the thread's next turn, not within this call. One that ended stays so.
    pub fn abort(&self) {
        self.tasks.with(self.id, |slot| slot.aborted = true);
        self.tasks.schedule(self.id);
    }
}
