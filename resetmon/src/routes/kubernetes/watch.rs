//! Watches of one kind each, kept up whatever the API server does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc::Sender;

use super::Timing;
use super::kind::Kind;
use super::objects::Change;

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Step {
    /// What changed.
    Change(Change),
    /// How it stands with the watch itself; `None` if well.
    Trouble(Option<Trouble>),
}

/// Why nothing new comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The API server does not have the kind.
    Absent,
    /// The API server forbids it; in its words.
    Forbidden(String),
    /// Anything else, most often that it does not answer.
    Failing(String),
}

impl Trouble {
    /// What to tell an operator; nothing where a kind is merely not installed.
    pub(super) fn shown(&self, kind: Kind) -> Option<String> {
        match self {
            Self::Absent if kind.is_built_in() => Some(format!(
                "{kind}: this API server has none in the versions {}",
                kind.versions().join(", ")
            )),
            Self::Absent => None,
            Self::Forbidden(reason) => Some(format!(
                "{kind}: forbidden ({reason}); give resetmon's ServiceAccount a ClusterRole with {}",
                kind.rbac_rule()
            )),
            Self::Failing(reason) => Some(format!(
                "{kind}: the API server cannot be asked, what was known stays in force: {reason}"
            )),
        }
    }
}

/// Why [`Watch::follow`] ended.
enum End {
    /// The API server does not have this version of the kind.
    Absent,
    /// Nobody listens any more.
    Unheard,
}

/// The watch of one kind.
pub(super) struct Watch {
    pub(super) client: Client,
    pub(super) kind: Kind,
    /// The node whose pods are wanted.
    pub(super) node: Arc<str>,
    pub(super) timing: Timing,
    pub(super) out: Sender<(Kind, Step)>,
}

impl Watch {
    /// Runs until nobody listens.
    pub(super) async fn run(self) {
        let mut rounds_absent = 0_u32;
        loop {
            for version in self.kind.versions() {
                let mut listed = false;
                match self.follow(version, &mut listed).await {
                    End::Unheard => return,
                    End::Absent if listed => rounds_absent = 0,
                    End::Absent => {}
                }
            }
            rounds_absent = rounds_absent.saturating_add(1);
            if !self.tell(Step::Trouble(Some(Trouble::Absent))).await {
                return;
            }
            // An API server that starts answers so for a moment: only the second time is believed.
            let mut pause = self.timing.absent_first;
            if rounds_absent > 1 {
                pause = self.timing.absent_later;
                if !self.tell(Step::Change(Change::Absent)).await {
                    return;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Lists and watches one version; `listed` tells whether that ever worked.
    async fn follow(&self, version: &str, listed: &mut bool) -> End {
        let resource = self.kind.resource(version);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let mut config = watcher::Config::default();
        if self.kind == Kind::Pod {
            config = config.fields(&format!("spec.nodeName={}", self.node));
        }
        let mut events = pin!(watcher(api, config));
        let mut pause = self.timing.retry_first;
        let mut troubled = true;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                // A watch that has been taken up again says so by not failing.
                () = tokio::time::sleep(self.timing.settled), if troubled && *listed => {
                    troubled = false;
                    if self.tell(Step::Trouble(None)).await {
                        continue;
                    }
                    return End::Unheard;
                }
            };
            let (steps, wait) = match event {
                Some(Ok(event)) => {
                    pause = self.timing.retry_first;
                    let done = matches!(event, Event::InitDone);
                    let well = done.then_some(Step::Trouble(None));
                    if done {
                        *listed = true;
                        troubled = false;
                    }
                    ([Some(Step::Change(change(event))), well], Duration::ZERO)
                }
                Some(Err(error)) => match code(&error) {
                    404 => return End::Absent,
                    // What was missed is listed again at once.
                    410 => ([None, None], self.timing.retry_first),
                    code => {
                        troubled = true;
                        let wait = pause;
                        pause = (pause * 2).min(self.timing.retry_last);
                        let trouble = if code == 403 {
                            Trouble::Forbidden(shown(&error))
                        } else {
                            Trouble::Failing(shown(&error))
                        };
                        ([Some(Step::Trouble(Some(trouble))), None], wait)
                    }
                },
                None => return End::Absent,
            };
            for step in steps.into_iter().flatten() {
                if !self.tell(step).await {
                    return End::Unheard;
                }
            }
            if !wait.is_zero() {
                tokio::time::sleep(self.scattered(wait)).await;
            }
        }
    }

    async fn tell(&self, step: Step) -> bool {
        self.out.send((self.kind, step)).await.is_ok()
    }

    /// `wait` and up to half of it, different from node to node and kind to kind: when an API
    /// server comes back not all agents shall ask it in the same moment.
    fn scattered(&self, wait: Duration) -> Duration {
        use std::hash::{BuildHasher, RandomState};
        let share = RandomState::new().hash_one(self.kind) % 512;
        wait + wait * u32::try_from(share).unwrap_or(0) / 1024
    }
}

fn change(event: Event<DynamicObject>) -> Change {
    match event {
        Event::Init => Change::Init,
        Event::InitApply(object) => Change::InitApply(Box::new(object)),
        Event::InitDone => Change::InitDone,
        Event::Apply(object) => Change::Apply(Box::new(object)),
        Event::Delete(object) => Change::Delete(Box::new(object)),
    }
}

/// HTTP status of what the API server answered; 0 if it did not answer.
fn code(error: &watcher::Error) -> u16 {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => 0,
    }
}

/// The innermost reasons of an error, on one line.
fn shown(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => {
            crate::text::printable_bytes(status.message.as_bytes(), 300)
        }
        error => {
            let mut texts: Vec<String> = Vec::new();
            let mut next: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = next {
                let text = error.to_string();
                // Most outer errors repeat the inner ones.
                texts.retain(|outer| !outer.contains(&text));
                texts.push(text);
                next = error.source();
            }
            crate::text::printable_bytes(texts.join(": ").as_bytes(), 300)
        }
    }
}
