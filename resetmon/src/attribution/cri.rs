//! Names of pods and containers from the container runtime: the Container Runtime Interface
//! (CRI, `runtime.v1`) that the kubelet uses, on a unix socket. For nodes where the Kubernetes API
//! cannot be asked.
//!
//! The two calls used have empty requests and only read. They are made by hand over HTTP/2: a gRPC
//! library would be several times their size.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::{Buf, Bytes};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::reset::ContainerNames;
use crate::routes::kubernetes::names::PodNames;

mod wire;

use wire::{ListContainersResponse, ListPodSandboxResponse, PodSandbox};

/// Where runtimes have their sockets, in the order in which they are tried.
pub const SOCKETS: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/var/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/cri-dockerd.sock",
];

/// Most bytes of an answer.
const MAX_ANSWER: usize = 64 << 20;

/// Why a runtime gave no names.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// The socket.
    #[error("{}: {source}", .socket.display())]
    Connect {
        /// Which.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connection.
    #[error("{}: {source}", .socket.display())]
    Http {
        /// Which.
        socket: PathBuf,
        /// Why.
        source: hyper::Error,
    },
    /// An answer that is too long, or broke off.
    #[error("{}: the answer to {call}: {reason}", .socket.display())]
    Answer {
        /// Which.
        socket: PathBuf,
        /// Of which call.
        call: &'static str,
        /// Why.
        reason: String,
    },
    /// The runtime refuses the call.
    #[error(
        "{}: {call} answers {status} {message}; is the runtime's CRI plugin disabled \
         (disabled_plugins in containerd's configuration)?",
        .socket.display()
    )]
    Status {
        /// Which.
        socket: PathBuf,
        /// Which call.
        call: &'static str,
        /// gRPC status or HTTP status.
        status: String,
        /// In the runtime's words.
        message: String,
    },
    /// No answer in time.
    #[error("{}: no answer within {limit:?}", .socket.display())]
    Timeout {
        /// Which.
        socket: PathBuf,
        /// How long it had.
        limit: Duration,
    },
}

/// When the runtime is asked; the defaults suit everybody but tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// At the least so often.
    pub every: Duration,
    /// Never sooner after the last time, however many containers are unknown.
    pub pause: Duration,
    /// How long one answer may take.
    pub limit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60),
            pause: Duration::from_secs(1),
            limit: Duration::from_secs(5),
        }
    }
}

/// The container runtime's names, kept up to date; ends when dropped.
#[derive(Debug)]
pub struct Runtime {
    names: watch::Receiver<Arc<PodNames>>,
    task: AbortHandle,
}

impl Runtime {
    /// Waits for the next names. Dropping the future before it is done loses nothing.
    pub async fn next(&mut self) -> Arc<PodNames> {
        if self.names.changed().await.is_ok() {
            return Arc::clone(&self.names.borrow_and_update());
        }
        std::future::pending().await
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks the first of `sockets` that answers, now and then and when `wanted` is told.
///
/// A socket that is not there is looked for again: the runtime may start later.
#[must_use]
pub fn spawn(
    runtime: &Handle,
    sockets: Vec<PathBuf>,
    wanted: Arc<Notify>,
    timing: Timing,
) -> Runtime {
    let (send, names) = watch::channel(Arc::default());
    let task = runtime.spawn(async move {
        let mut said = None;
        while !send.is_closed() {
            match first_answer(&sockets, timing.limit).await {
                Ok(Some(new)) => {
                    said = None;
                    send.send_if_modified(|known: &mut Arc<PodNames>| {
                        let changed = **known != new;
                        if changed {
                            *known = Arc::new(new);
                        }
                        changed
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    let error = error.to_string();
                    if said.as_ref() != Some(&error) {
                        tracing::warn!("the container runtime names no containers: {error}");
                        said = Some(error);
                    }
                }
            }
            tokio::time::sleep(timing.pause).await;
            tokio::select! {
                () = wanted.notified() => {}
                () = tokio::time::sleep(timing.every) => {}
            }
        }
    });
    Runtime {
        names,
        task: task.abort_handle(),
    }
}

/// The first answer; `None` if none of the sockets exists.
async fn first_answer(sockets: &[PathBuf], limit: Duration) -> Result<Option<PodNames>, CriError> {
    let mut failed = None;
    for socket in sockets {
        let answer = tokio::time::timeout(limit, pod_names(socket)).await;
        match answer {
            Ok(Ok(names)) => return Ok(Some(names)),
            Ok(Err(CriError::Connect { source, .. }))
                if source.kind() == std::io::ErrorKind::NotFound => {}
            Ok(Err(error)) => failed = failed.or(Some(error)),
            Err(_) => {
                let socket = socket.clone();
                failed = failed.or(Some(CriError::Timeout { socket, limit }));
            }
        }
    }
    failed.map_or(Ok(None), Err)
}

/// What the runtime behind `socket` says.
async fn pod_names(socket: &Path) -> Result<PodNames, CriError> {
    let connected = UnixStream::connect(socket).await;
    let stream = connected.map_err(|source| CriError::Connect {
        socket: socket.to_owned(),
        source,
    })?;
    let http = |source| CriError::Http {
        socket: socket.to_owned(),
        source,
    };
    let io = TokioIo::new(stream);
    let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .map_err(http)?;
    let calls = async {
        let pods: ListPodSandboxResponse = call(&mut send, socket, "ListPodSandbox").await?;
        let containers: ListContainersResponse = call(&mut send, socket, "ListContainers").await?;
        Ok(names(&pods, &containers))
    };
    tokio::select! {
        names = calls => names,
        end = connection => {
            end.map_err(http)?;
            Err(CriError::Answer {
                socket: socket.to_owned(),
                call: "the connection",
                reason: "closed by the runtime".to_owned(),
            })
        }
    }
}

/// One call with an empty request (gRPC over HTTP/2).
async fn call<T: Message + Default>(
    send: &mut SendRequest<Full<Bytes>>,
    socket: &Path,
    call: &'static str,
) -> Result<T, CriError> {
    let answer_error = |reason: String| CriError::Answer {
        socket: socket.to_owned(),
        call,
        reason,
    };
    let request = Request::post(format!("http://localhost/runtime.v1.RuntimeService/{call}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        // Not compressed, of length 0.
        .body(Full::new(Bytes::from_static(&[0; 5])))
        .map_err(|error| answer_error(error.to_string()))?;
    let answer = send.send_request(request).await;
    let response = answer.map_err(|source| CriError::Http {
        socket: socket.to_owned(),
        source,
    })?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|error| answer_error(error.to_string()))?;
    let trailers = body.trailers().cloned();
    // An error without a message has its status among the headers.
    let trailers = trailers.unwrap_or(head.headers);
    let text = |name| {
        let value = trailers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let grpc = text("grpc-status");
    if !head.status.is_success() || grpc != "0" {
        let status = if grpc.is_empty() {
            head.status.to_string()
        } else {
            grpc
        };
        return Err(CriError::Status {
            socket: socket.to_owned(),
            call,
            status,
            message: text("grpc-message"),
        });
    }
    message(body.to_bytes()).map_err(answer_error)
}

/// The one message in the body of an answer.
fn message<T: Message + Default>(mut body: Bytes) -> Result<T, String> {
    if body.remaining() < 5 {
        return Err("no message".to_owned());
    }
    if body.get_u8() != 0 {
        return Err("compressed, which was not asked for".to_owned());
    }
    let length = usize::try_from(body.get_u32()).unwrap_or(usize::MAX);
    if body.remaining() != length {
        return Err(format!("{} of {length} bytes", body.remaining()));
    }
    T::decode(body).map_err(|error| error.to_string())
}

/// The names in both answers.
fn names(pods: &ListPodSandboxResponse, containers: &ListContainersResponse) -> PodNames {
    let mut names = PodNames::default();
    let mut by_sandbox: HashMap<&str, &PodSandbox> = HashMap::new();
    for pod in &pods.items {
        let Some(metadata) = &pod.metadata else {
            continue;
        };
        by_sandbox.insert(&pod.id, pod);
        let uid = Arc::from(&*metadata.uid);
        names.pods.insert(uid, named(pod, None));
        // The sandbox's own process, which holds the namespaces, is a container of its own.
        let id = Arc::from(&*pod.id);
        names.containers.insert(id, named(pod, Some("POD")));
    }
    for container in &containers.containers {
        let name = container.metadata.as_ref().map(|metadata| &*metadata.name);
        if let Some(pod) = by_sandbox.get(&*container.pod_sandbox_id) {
            let id = Arc::from(&*container.id);
            names.containers.insert(id, named(pod, name));
        }
    }
    names
}

fn named(pod: &PodSandbox, container: Option<&str>) -> Arc<ContainerNames> {
    let metadata = pod.metadata.as_ref();
    let text = |of: fn(&wire::PodSandboxMetadata) -> &str| Arc::from(metadata.map_or("", of));
    Arc::new(ContainerNames {
        namespace: text(|metadata| &metadata.namespace),
        pod: text(|metadata| &metadata.name),
        container: container.map(Arc::from),
        workload: workload(pod).map(Arc::from),
    })
}

/// What made the pod, where its labels tell: the runtime does not know owners.
fn workload(pod: &PodSandbox) -> Option<String> {
    let name = &*pod.metadata.as_ref()?.name;
    let label = |key: &str| pod.labels.get(key).map(String::as_str);
    if let Some(job) = label("batch.kubernetes.io/job-name").or_else(|| label("job-name")) {
        return Some(format!("Job/{job}"));
    }
    // Every pod's own part of the name is behind the last dash.
    let (owner, _) = name.rsplit_once('-')?;
    if let Some(hash) = label("pod-template-hash") {
        let name = owner.strip_suffix(hash)?.strip_suffix('-')?;
        return Some(format!("Deployment/{name}"));
    }
    label("controller-revision-hash")?;
    let kind = if label("statefulset.kubernetes.io/pod-name").is_some() {
        "StatefulSet"
    } else {
        "DaemonSet"
    };
    Some(format!("{kind}/{owner}"))
}

#[cfg(test)]
mod tests;
