// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Kernel memory with fallible constructors: [`KBox`], [`KVec`], [`KArc`].
//!
//! There is no global allocator, so nothing allocates without saying whether
//! it may wait.

use core::marker::PhantomData;
use core::mem::{MaybeUninit, needs_drop};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::context::Wait;
use crate::errno::{Errno, Result};
use crate::ffi;

fn allocate(size: usize, align: usize, flags: i32) -> Result<NonNull<u8>> {
    // SAFETY: the flags come from Wait, so they ask for what the context allows.
    let p = unsafe { ffi::nvrs_malloc(size.max(1), align, flags) };
    NonNull::new(p.cast()).ok_or(Errno::ENOMEM)
}

/// # Safety
///
/// `p` came from [`allocate`] and is not used afterwards.
unsafe fn release(p: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { ffi::nvrs_free(p.cast()) }
}

/// An owned heap object.
pub struct KBox<T>(NonNull<T>, PhantomData<T>);

// SAFETY: a KBox owns its object like a Box.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for KBox<T> {}

impl<T> KBox<T> {
    /// Moves `value` to the heap.
    pub fn new(value: T, wait: Wait<'_>) -> Result<Self> {
        let p = allocate(size_of::<T>(), align_of::<T>(), wait.flags())?.cast::<T>();
        // SAFETY: p is fresh, large enough and aligned.
        unsafe { p.write(value) };
        Ok(KBox(p, PhantomData))
    }

    /// The object itself.
    pub fn into_inner(self) -> T {
        let p = self.0;
        core::mem::forget(self);
        // SAFETY: the box owned an initialised object; only its memory is freed.
        unsafe {
            let value = p.read();
            release(p.as_ptr().cast());
            value
        }
    }
}

impl<T: zerocopy::FromZeros> KBox<T> {
    /// A zeroed object, built in place: for objects too large for the stack.
    pub fn zeroed(wait: Wait<'_>) -> Result<Self> {
        let flags = wait.flags() | ffi::NVRS_ZERO as i32;
        let p = allocate(size_of::<T>(), align_of::<T>(), flags)?.cast::<T>();
        Ok(KBox(p, PhantomData))
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: owned and initialised.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: owned and initialised, and we have exclusive access.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: owned, initialised, dropped once.
        unsafe {
            ptr::drop_in_place(self.0.as_ptr());
            release(self.0.as_ptr().cast());
        }
    }
}

/// A vector of fixed capacity.
pub struct KVec<T> {
    ptr: NonNull<T>,
    len: usize,
    cap: usize,
    _owns: PhantomData<T>,
}

// SAFETY: a KVec owns its elements like a Vec.
unsafe impl<T: Send> Send for KVec<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for KVec<T> {}

impl<T> KVec<T> {
    /// An empty vector that never allocates.
    pub const fn empty() -> Self {
        KVec {
            ptr: NonNull::dangling(),
            len: 0,
            cap: 0,
            _owns: PhantomData,
        }
    }

    /// Room for `cap` elements.
    pub fn with_capacity(cap: usize, wait: Wait<'_>) -> Result<Self> {
        if cap == 0 {
            return Ok(Self::empty());
        }
        let size = cap.checked_mul(size_of::<T>()).ok_or(Errno::ENOMEM)?;
        let ptr = allocate(size, align_of::<T>(), wait.flags())?.cast::<T>();
        Ok(KVec {
            ptr,
            len: 0,
            cap,
            _owns: PhantomData,
        })
    }

    /// `len` elements, each made by `f` from its index.
    pub fn filled(len: usize, wait: Wait<'_>, mut f: impl FnMut(usize) -> T) -> Result<Self> {
        let mut v = Self::with_capacity(len, wait)?;
        for i in 0..len {
            v.push(f(i))?;
        }
        Ok(v)
    }

    /// Like [`KVec::filled`], for elements whose construction may fail.
    pub fn try_filled(
        len: usize,
        wait: Wait<'_>,
        mut f: impl FnMut(usize) -> Result<T>,
    ) -> Result<Self> {
        let mut v = Self::with_capacity(len, wait)?;
        for i in 0..len {
            v.push(f(i)?)?;
        }
        Ok(v)
    }

    /// Appends; ENOSPC (with the value dropped) when full.
    pub fn push(&mut self, value: T) -> Result<()> {
        if self.len == self.cap {
            return Err(Errno::ENOSPC);
        }
        // SAFETY: len < cap, so the slot is inside the allocation and unused.
        unsafe { self.ptr.add(self.len).write(value) };
        self.len += 1;
        Ok(())
    }

    /// Removes the last element.
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the element was initialised and is no longer counted.
        Some(unsafe { self.ptr.add(self.len).read() })
    }

    /// Removes the element at `index`, moving later ones down.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        if index >= self.len {
            return None;
        }
        // SAFETY: index is valid; the tail is moved over the hole.
        unsafe {
            let p = self.ptr.add(index);
            let value = p.read();
            ptr::copy(p.add(1).as_ptr(), p.as_ptr(), self.len - index - 1);
            self.len -= 1;
            Some(value)
        }
    }

    /// Inserts at `index`, moving later elements up; ENOSPC when full.
    pub fn insert(&mut self, index: usize, value: T) -> Result<()> {
        if self.len == self.cap || index > self.len {
            return Err(Errno::ENOSPC);
        }
        // SAFETY: there is room for one more, and index is at most len.
        unsafe {
            let p = self.ptr.add(index);
            ptr::copy(p.as_ptr(), p.add(1).as_ptr(), self.len - index);
            p.write(value);
        }
        self.len += 1;
        Ok(())
    }

    /// Makes room for at least `more` further elements.
    pub fn reserve(&mut self, more: usize, wait: Wait<'_>) -> Result<()> {
        let need = self.len.checked_add(more).ok_or(Errno::ENOMEM)?;
        if need <= self.cap {
            return Ok(());
        }
        let mut bigger = Self::with_capacity(need.max(self.cap * 2), wait)?;
        // SAFETY: the elements move to the larger allocation; the old one
        // forgets them.
        unsafe { ptr::copy_nonoverlapping(self.ptr.as_ptr(), bigger.ptr.as_ptr(), self.len) };
        bigger.len = self.len;
        self.len = 0;
        *self = bigger;
        Ok(())
    }

    /// Drops all elements; the memory stays.
    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }

    /// How many elements fit.
    pub fn capacity(&self) -> usize {
        self.cap
    }
}

impl KVec<u8> {
    /// `len` zero bytes.
    pub fn zeroed(len: usize, wait: Wait<'_>) -> Result<Self> {
        let ptr = allocate(len, 8, wait.flags() | ffi::NVRS_ZERO as i32)?;
        Ok(KVec {
            ptr,
            len,
            cap: len.max(1),
            _owns: PhantomData,
        })
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the first len elements are initialised.
        unsafe { core::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, with exclusive access.
        unsafe { core::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> Drop for KVec<T> {
    fn drop(&mut self) {
        if needs_drop::<T>() {
            self.clear();
        }
        if self.cap != 0 {
            // SAFETY: a vector with capacity owns an allocation.
            unsafe { release(self.ptr.as_ptr().cast()) };
        }
    }
}

/// A heap buffer of bytes.
pub type KBuf = KVec<u8>;

#[repr(C)]
struct ArcInner<T> {
    refs: AtomicUsize,
    value: T,
}

/// A shared heap object, freed with its last reference. Dropping needs no
/// sleep unless the object's own Drop does.
pub struct KArc<T>(NonNull<ArcInner<T>>, PhantomData<ArcInner<T>>);

// SAFETY: as for core's Arc: references are shared between threads and the
// last one may drop the object anywhere.
unsafe impl<T: Send + Sync> Send for KArc<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for KArc<T> {}

impl<T> KArc<T> {
    /// Moves `value` to the heap with one reference.
    pub fn new(value: T, wait: Wait<'_>) -> Result<Self> {
        let p = allocate(
            size_of::<ArcInner<T>>(),
            align_of::<ArcInner<T>>(),
            wait.flags(),
        )?
        .cast::<ArcInner<T>>();
        // SAFETY: p is fresh, large enough and aligned.
        unsafe {
            p.write(ArcInner {
                refs: AtomicUsize::new(1),
                value,
            });
        }
        Ok(KArc(p, PhantomData))
    }

    /// Gives the reference to C as a pointer to the object.
    pub fn into_raw(this: Self) -> *const T {
        let p = &raw const *this;
        core::mem::forget(this);
        p
    }

    /// Takes back a reference that [`KArc::into_raw`] gave away.
    ///
    /// # Safety
    ///
    /// `p` came from `into_raw`, and that reference was not taken back yet.
    pub unsafe fn from_raw(p: *const T) -> Self {
        let offset = core::mem::offset_of!(ArcInner<T>, value);
        // SAFETY: p points to the value field of a live ArcInner.
        let inner = unsafe { p.byte_sub(offset) } as *mut ArcInner<T>;
        // SAFETY: derived from a live object, so not null.
        KArc(unsafe { NonNull::new_unchecked(inner) }, PhantomData)
    }

    /// A further reference to an object that C points at.
    ///
    /// # Safety
    ///
    /// `p` came from `into_raw`, and that reference is still C's.
    pub unsafe fn borrow_raw(p: *const T) -> Self {
        // SAFETY: the caller's promise; the reference it stands for is kept.
        let own = core::mem::ManuallyDrop::new(unsafe { Self::from_raw(p) });
        KArc::clone(&own)
    }

    /// The object, if this is the only reference.
    pub fn try_unwrap(this: Self) -> core::result::Result<T, Self> {
        // SAFETY: the object is alive while `this` is.
        let refs = unsafe { &this.0.as_ref().refs };
        if refs
            .compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            return Err(this);
        }
        let p = this.0;
        core::mem::forget(this);
        // SAFETY: the count fell from one to zero: nobody else can reach the
        // object; its memory is freed and its value moved out.
        unsafe {
            let value = (&raw const (*p.as_ptr()).value).read();
            release(p.as_ptr().cast());
            Ok(value)
        }
    }

    /// Whether two references point to one object.
    pub fn ptr_eq(a: &Self, b: &Self) -> bool {
        a.0 == b.0
    }

    /// How many references there are; a hint unless the caller excludes others.
    pub fn ref_count(this: &Self) -> usize {
        // SAFETY: alive while `this` is.
        unsafe { this.0.as_ref() }.refs.load(Ordering::Relaxed)
    }
}

impl<T> Clone for KArc<T> {
    fn clone(&self) -> Self {
        // SAFETY: alive while `self` is. The count cannot overflow: every
        // reference occupies memory.
        unsafe { self.0.as_ref() }
            .refs
            .fetch_add(1, Ordering::Relaxed);
        KArc(self.0, PhantomData)
    }
}

impl<T> Deref for KArc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: alive while `self` is.
        unsafe { &self.0.as_ref().value }
    }
}

impl<T> Drop for KArc<T> {
    fn drop(&mut self) {
        // Acquire as well, rather than a fence for the last one: amd64 has no
        // cheaper form, and ThreadSanitizer does not see fences.
        // SAFETY: alive until the count reaches zero.
        if unsafe { self.0.as_ref() }
            .refs
            .fetch_sub(1, Ordering::AcqRel)
            != 1
        {
            return;
        }
        // SAFETY: the last reference is gone; dropped and freed once.
        unsafe {
            ptr::drop_in_place(self.0.as_ptr());
            release(self.0.as_ptr().cast());
        }
    }
}

/// A cell that is written at most once, before others look.
pub struct SetOnce<T> {
    state: core::sync::atomic::AtomicU8,
    value: core::cell::UnsafeCell<MaybeUninit<T>>,
}

const EMPTY: u8 = 0;
const WRITING: u8 = 1;
const FULL: u8 = 2;

// SAFETY: the value is written by one thread and only shared afterwards.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}
// SAFETY: owns its value.
unsafe impl<T: Send> Send for SetOnce<T> {}

impl<T> SetOnce<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        SetOnce {
            state: core::sync::atomic::AtomicU8::new(EMPTY),
            value: core::cell::UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Writes the value; gives it back when there was one.
    pub fn set(&self, value: T) -> core::result::Result<(), T> {
        if self
            .state
            .compare_exchange(EMPTY, WRITING, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(value);
        }
        // SAFETY: only the thread that moved the state from EMPTY writes.
        unsafe { (*self.value.get()).write(value) };
        self.state.store(FULL, Ordering::Release);
        Ok(())
    }

    /// The value, once written.
    pub fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != FULL {
            return None;
        }
        // SAFETY: FULL means written, and it is never written again.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for SetOnce<T> {
    fn drop(&mut self) {
        if *self.state.get_mut() == FULL {
            // SAFETY: FULL means initialised.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

/// A value that one thread at a time takes out, and puts back or keeps.
pub struct Passed<T>(SetOnce<T>);

// SAFETY: the value is only ever reached by the thread that took it out.
unsafe impl<T: Send> Sync for Passed<T> {}

impl<T> Passed<T> {
    /// With the value in its place.
    pub fn new(value: T) -> Self {
        let cell = SetOnce::new();
        // A fresh cell is empty.
        let _ = cell.set(value);
        Passed(cell)
    }

    /// Takes the value out, if it is there.
    pub fn take(&self) -> Option<T> {
        self.0
            .state
            .compare_exchange(FULL, WRITING, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        // SAFETY: FULL means written, and only the thread that moved the state
        // from FULL reads; nothing reads it again before it is written again.
        let value = unsafe { (*self.0.value.get()).assume_init_read() };
        self.0.state.store(EMPTY, Ordering::Release);
        Some(value)
    }

    /// Puts a value into the empty place; gives it back if there is one.
    pub fn put(&self, value: T) -> core::result::Result<(), T> {
        self.0.set(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_value_is_in_one_place() {
        extern crate std;
        let value = std::sync::Arc::new(7);
        let cell = Passed::new(value.clone());
        assert_eq!(cell.put(value.clone()), Err(value.clone()));
        let taken = cell.take();
        assert_eq!(taken.as_deref(), Some(&7));
        assert!(cell.take().is_none());
        assert!(taken.is_some_and(|v| cell.put(v).is_ok()));
        assert_eq!(std::sync::Arc::strong_count(&value), 2);
        drop(cell);
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
    }
}
