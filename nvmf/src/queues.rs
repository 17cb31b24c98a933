// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The I/O queues of an association, as processors find them.
#![forbid(unsafe_code)]

use sys::mem::{KArc, KVec};
use sys::sync::Mutex;
use sys::time::{current_cpu, max_cpus};
use sys::{Result, Wait};

use crate::proto::spread::{neighbour, queue_of_cpu, takes_more};
use crate::qpair::HostQpair;

/// The queues that a processor's commands take.
struct Route {
    own: KArc<HostQpair>,
    /// The neighbour's, if that is another: first, while it takes more.
    shared: Option<KArc<HostQpair>>,
}

/// A route for each processor while there is an association.
pub struct IoQueues {
    routes: KVec<Mutex<Option<Route>>>,
}

impl IoQueues {
    /// No queues, for the processors that there are.
    pub fn new(wait: Wait<'_>) -> Result<Self> {
        let cpus = max_cpus() as usize;
        let routes = KVec::try_filled(cpus, wait, |_| Mutex::new(c"nvmf cpu", None, wait))?;
        Ok(Self { routes })
    }

    /// The queue for a command of this processor, if there is an association. Any context.
    pub fn here(&self) -> Option<KArc<HostQpair>> {
        let route = self
            .routes
            .get(current_cpu() as usize)
            .or(self.routes.first())?
            .lock();
        let Route { own, shared } = route.as_ref()?;
        match shared {
            Some(queue) if takes_more(queue.open(), queue.entries()) => Some(queue.clone()),
            Some(_) | None => Some(own.clone()),
        }
    }

    /// Distributes an association's queues over the processors.
    pub fn open(&self, queues: &[KArc<HostQpair>]) {
        let cpus = self.routes.len() as u32;
        let index = |cpu| queue_of_cpu(cpu, cpus, queues.len() as u32) as usize;
        for (cpu, slot) in (0..).zip(self.routes.iter()) {
            let (own, shared) = (index(cpu), index(neighbour(cpu)));
            let route = queues.get(own).map(|queue| Route {
                own: queue.clone(),
                shared: queues.get(shared).filter(|_| shared != own).cloned(),
            });
            let old = core::mem::replace(&mut *slot.lock(), route);
            drop(old);
        }
    }

    /// From now on there are none.
    pub fn close(&self) {
        self.open(&[]);
    }
}
