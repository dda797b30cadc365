//! Wakers that are numbers: a task's place, its generation, its thread's reactor. Cloning one copies
//! it, dropping one does nothing. An `Arc` in their place would be counted up and down, by atomic
//! instructions, at each request.
#![allow(unsafe_code, reason = "the standard library makes wakers of vtables by unsafe calls only")]

use std::task::{RawWaker, RawWakerVTable, Waker};

use super::tasks::{TaskId, wake};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake_word, wake_word, forget);

impl TaskId {
    pub(super) fn waker(self) -> Waker {
        let data = std::ptr::without_provenance(self.word());
        // SAFETY: `data` is a number that is never followed. The functions copy it, look it up, or do
        // nothing, which any thread may do at any time, so the contract of `RawWaker` holds.
        unsafe { Waker::new(data, &VTABLE) }
    }
}

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake_word(data: *const ()) {
    wake(TaskId::from_word(data.addr()));
}

fn forget(_: *const ()) {}
