//! Names of containers, from the Kubernetes API or else the container runtime, remembered past the
//! container's end: the kernel resets what a killed one left open.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::reset::{Container, ContainerNames};
use crate::routes::kubernetes::names::PodNames;

/// How many containers and pods are remembered.
const CAPACITY: usize = 8192;

/// The names known so far.
#[derive(Debug)]
pub struct Names {
    capacity: usize,
    known: HashMap<Arc<str>, Known>,
    /// Counts the answers taken over: the time of [`Known::seen`].
    now: u64,
    wanted: Arc<Notify>,
}

#[derive(Debug)]
struct Known {
    names: Arc<ContainerNames>,
    seen: u64,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Names {
    /// An empty memory of at most `capacity` containers and pods (at least one).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            known: HashMap::new(),
            now: 0,
            wanted: Arc::default(),
        }
    }

    /// Told when a container without names has been asked for, so that its runtime can be asked.
    #[must_use]
    pub fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.wanted)
    }

    /// Takes over what the API or the runtime says now. Where both name one container, the one
    /// with the workload stays: only the API knows that for certain.
    pub fn learn(&mut self, pods: &PodNames) {
        self.now += 1;
        for (id, names) in pods.pods.iter().chain(&pods.containers) {
            let known = self.known.entry(Arc::clone(id)).or_insert_with(|| Known {
                names: Arc::clone(names),
                seen: self.now,
            });
            known.seen = self.now;
            if known.names.workload.is_none() || names.workload.is_some() {
                known.names = Arc::clone(names);
            }
        }
        self.forget_oldest();
    }

    /// `container` with its names; `None` where they are not known or it has them all.
    #[must_use]
    pub fn complete(&self, container: &Container) -> Option<Container> {
        let has = container.names.as_deref();
        if has.is_some_and(|names| names.container.is_some()) {
            return None;
        }
        let known = |id: &str| self.known.get(id).map(|known| &known.names);
        let by_id = known(&container.id);
        if by_id.is_none() && container.pod_uid.is_some() {
            self.wanted.notify_one();
        }
        let names = by_id.or_else(|| known(container.pod_uid.as_deref()?))?;
        (has != Some(&**names)).then(|| Container {
            names: Some(Arc::clone(names)),
            ..container.clone()
        })
    }

    fn forget_oldest(&mut self) {
        if self.known.len() <= self.capacity {
            return;
        }
        let excess = self.known.len() - self.capacity;
        let mut seen: Vec<u64> = self.known.values().map(|known| known.seen).collect();
        let (_, oldest_kept, _) = seen.select_nth_unstable(excess);
        let oldest_kept = *oldest_kept;
        // Those of the latest answer run now, however many they are.
        self.known
            .retain(|_, known| known.seen >= oldest_kept || known.seen == self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pod: &str, container: Option<&str>, workload: Option<&str>) -> Arc<ContainerNames> {
        Arc::new(ContainerNames {
            namespace: "shop".into(),
            pod: pod.into(),
            container: container.map(Into::into),
            workload: workload.map(Into::into),
        })
    }

    fn pods(rows: &[(&str, Arc<ContainerNames>)]) -> PodNames {
        let mut pods = PodNames::default();
        for (id, names) in rows {
            let of = if names.container.is_some() {
                &mut pods.containers
            } else {
                &mut pods.pods
            };
            of.insert(Arc::from(*id), Arc::clone(names));
        }
        pods
    }

    fn container(id: &str, pod_uid: Option<&str>) -> Container {
        Container {
            id: id.into(),
            runtime: "containerd",
            pod_uid: pod_uid.map(Into::into),
            names: None,
        }
    }

    #[test]
    fn the_container_then_the_pod() {
        let mut known = Names::default();
        known.learn(&pods(&[
            ("c1", names("web", Some("nginx"), None)),
            ("u1", names("web", None, None)),
        ]));
        for (id, uid, expected) in [
            ("c1", Some("u1"), Some(names("web", Some("nginx"), None))),
            ("c1", None, Some(names("web", Some("nginx"), None))),
            ("c2", Some("u1"), Some(names("web", None, None))),
            ("c2", Some("u2"), None),
            ("c2", None, None),
        ] {
            let found = known.complete(&container(id, uid));
            let found = found.map(|found| found.names.unwrap());
            assert_eq!(found, expected, "{id} {uid:?}");
        }
    }

    #[test]
    fn names_come_late_and_stay() {
        let mut known = Names::default();
        let bare = container("c1", Some("u1"));
        assert_eq!(known.complete(&bare), None);
        known.learn(&pods(&[("u1", names("web", None, None))]));
        let half = known.complete(&bare).unwrap();
        // Nothing new is nothing to do.
        assert_eq!(known.complete(&half), None);
        known.learn(&pods(&[(
            "c1",
            names("web", Some("nginx"), Some("Deployment/web")),
        )]));
        let whole = known.complete(&half).unwrap();
        assert_eq!(
            whole.names,
            Some(names("web", Some("nginx"), Some("Deployment/web")))
        );
        assert_eq!(known.complete(&whole), None);
        // The pod is gone from the cluster, the runtime knows less.
        known.learn(&PodNames::default());
        known.learn(&pods(&[("c1", names("web", Some("nginx"), None))]));
        assert_eq!(known.complete(&bare).unwrap().names, whole.names);
    }

    #[test]
    fn the_runtime_is_asked_for_containers_of_pods_only() {
        let known = Names::default();
        let told = |names: &Names| {
            let wanted = names.wanted();
            let mut waiting = std::pin::pin!(wanted.notified());
            waiting.as_mut().enable()
        };
        let _ = known.complete(&container("c1", None));
        assert!(!told(&known));
        let _ = known.complete(&container("c1", Some("u1")));
        assert!(told(&known));
    }

    #[test]
    fn the_longest_gone_are_forgotten() {
        let mut known = Names::new(2);
        for id in ["a", "b", "c"] {
            known.learn(&pods(&[(id, names(id, Some("x"), None))]));
        }
        let has = |id| known.complete(&container(id, None)).is_some();
        assert_eq!([has("a"), has("b"), has("c")], [false, true, true]);
        // What runs now is kept, even past the capacity.
        let rows = ["d", "e", "f"].map(|id| (id, names(id, Some("x"), None)));
        known.learn(&pods(&rows));
        let has = |id| known.complete(&container(id, None)).is_some();
        assert_eq!(
            [has("c"), has("d"), has("e"), has("f")],
            [false, true, true, true]
        );
    }
}
