use std::convert::Infallible;

use super::wire::{Container, ContainerMetadata, PodSandboxMetadata};
use super::*;

fn pod(id: &str, name: &str, labels: &[(&str, &str)]) -> PodSandbox {
    let labels = labels.iter();
    PodSandbox {
        id: id.to_owned(),
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("uid-of-{id}"),
            namespace: "shop".to_owned(),
        }),
        labels: labels
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn container(id: &str, sandbox: &str, name: &str) -> Container {
    Container {
        id: id.to_owned(),
        pod_sandbox_id: sandbox.to_owned(),
        metadata: Some(ContainerMetadata {
            name: name.to_owned(),
        }),
    }
}

#[test]
fn containers_and_pods() {
    let pods = ListPodSandboxResponse {
        items: vec![
            pod("s1", "web-0", &[]),
            PodSandbox {
                id: "s2".to_owned(),
                ..PodSandbox::default()
            },
        ],
    };
    let containers = ListContainersResponse {
        containers: vec![
            container("c1", "s1", "nginx"),
            // A sandbox without names, and one that is gone.
            container("c2", "s2", "x"),
            container("c3", "s3", "x"),
        ],
    };
    let names = names(&pods, &containers);
    let shown = |id: &str, uid: Option<&str>| {
        names.get(id, uid).map(|names| {
            let container = names.container.as_deref().unwrap_or("-");
            format!("{}/{} {container}", names.namespace, names.pod)
        })
    };
    for (id, uid, expected) in [
        ("c1", None, Some("shop/web-0 nginx")),
        ("s1", None, Some("shop/web-0 POD")),
        ("c9", Some("uid-of-s1"), Some("shop/web-0 -")),
        ("c2", None, None),
        ("c3", Some("uid-of-s3"), None),
    ] {
        assert_eq!(shown(id, uid).as_deref(), expected, "{id}");
    }
}

#[test]
fn workloads_by_labels() {
    let hash = ("pod-template-hash", "5d8f7c9b4");
    let revision = ("controller-revision-hash", "6b9c");
    let stateful = ("statefulset.kubernetes.io/pod-name", "db-0");
    for (name, labels, expected) in [
        ("web-5d8f7c9b4-x2x4z", &[hash][..], Some("Deployment/web")),
        ("a-b-5d8f7c9b4-x2x4z", &[hash], Some("Deployment/a-b")),
        ("db-0", &[revision, stateful], Some("StatefulSet/db")),
        ("log-x2x4z", &[revision], Some("DaemonSet/log")),
        ("pay-1-abcde", &[("job-name", "pay-1")], Some("Job/pay-1")),
        (
            "pay-1-abcde",
            &[("batch.kubernetes.io/job-name", "pay-1")],
            Some("Job/pay-1"),
        ),
        // Not as the controllers name pods.
        ("web-other-x2x4z", &[hash], None),
        ("5d8f7c9b4-x2x4z", &[hash], None),
        ("plain", &[hash], None),
        ("plain", &[revision], None),
        ("web-5d8f7c9b4-x2x4z", &[], None),
    ] {
        let found = workload(&pod("s", name, labels));
        assert_eq!(found.as_deref(), expected, "{name} {labels:?}");
    }
}

#[test]
fn bodies_of_answers() {
    let answer = ListContainersResponse {
        containers: vec![container("c1", "s1", "nginx")],
    };
    let text = answer.encode_to_vec();
    let framed = |compressed: u8, length: usize, text: &[u8]| {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        Bytes::from([&[compressed][..], &length, text].concat())
    };
    let read = message::<ListContainersResponse>;
    assert_eq!(read(framed(0, text.len(), &text)), Ok(answer));
    assert_eq!(
        read(framed(0, 0, b"")),
        Ok(ListContainersResponse::default())
    );
    for (body, part) in [
        (Bytes::new(), "no message"),
        (Bytes::from_static(&[0, 0, 0, 0]), "no message"),
        (framed(1, text.len(), &text), "compressed"),
        (framed(0, text.len() + 1, &text), "bytes"),
        (framed(0, text.len() - 1, &text), "bytes"),
        (framed(0, 3, b"\x0a\xff\x01"), "decode"),
        (framed(0, 2, b"\x0a\x7f"), "decode"),
    ] {
        let error = read(body.clone()).unwrap_err();
        assert!(error.contains(part), "{body:?}: {error}");
    }
}

/// A runtime that answers with `pods` and `containers`, or each call with a gRPC status.
struct Fake {
    socket: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Fake {
    fn start(socket: &Path, answers: Answers) -> Self {
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        let answers = Arc::new(answers);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answers = Arc::clone(&answers);
                let service = hyper::service::service_fn(move |request| {
                    let answers = Arc::clone(&answers);
                    async move { Ok::<_, Infallible>(answer(&answers, request).await) }
                });
                let io = TokioIo::new(stream);
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(io, service));
            }
        });
        Self {
            socket: socket.to_owned(),
            task,
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

type Answers = Result<(ListPodSandboxResponse, ListContainersResponse), &'static str>;

async fn answer(
    answers: &Answers,
    request: Request<hyper::body::Incoming>,
) -> hyper::Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let call = request.uri().path().to_owned();
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let sent = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(sent, Bytes::from_static(&[0; 5]));
    let (message, status) = match (answers, &*call) {
        (Ok((pods, _)), "/runtime.v1.RuntimeService/ListPodSandbox") => (pods.encode_to_vec(), "0"),
        (Ok((_, containers)), "/runtime.v1.RuntimeService/ListContainers") => {
            (containers.encode_to_vec(), "0")
        }
        (Err(status), _) => (Vec::new(), *status),
        (Ok(_), other) => panic!("{other}"),
    };
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = Bytes::from([&[0][..], &length, &message].concat());
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    trailers.insert("grpc-message", "in its words".parse().unwrap());
    let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) });
    hyper::Response::builder()
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap()
}

fn one(id: &str, name: &str) -> (ListPodSandboxResponse, ListContainersResponse) {
    (
        ListPodSandboxResponse {
            items: vec![pod("s1", "web-0", &[])],
        },
        ListContainersResponse {
            containers: vec![container(id, "s1", name)],
        },
    )
}

#[tokio::test]
async fn a_runtime_comes_changes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("cri.sock");
    let wanted = Arc::new(Notify::new());
    let timing = Timing {
        every: Duration::from_millis(20),
        pause: Duration::from_millis(1),
        limit: Duration::from_secs(30),
    };
    let elsewhere = folder.path().join("none.sock");
    let sockets = vec![elsewhere, socket.clone()];
    let mut runtime = spawn(&Handle::current(), sockets, Arc::clone(&wanted), timing);
    let first = Fake::start(&socket, Ok(one("c1", "nginx")));
    let names = runtime.next().await;
    assert_eq!(
        names.get("c1", None).unwrap().container.as_deref(),
        Some("nginx")
    );
    drop(first);
    // While it is away nothing changes; then there is another container.
    let _second = Fake::start(&socket, Ok(one("c2", "envoy")));
    let names = runtime.next().await;
    assert_eq!(
        names.get("c2", None).unwrap().container.as_deref(),
        Some("envoy")
    );
    assert_eq!(names.get("c1", None), None);
}

#[tokio::test]
async fn an_unknown_container_is_asked_for_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("cri.sock");
    let wanted = Arc::new(Notify::new());
    // It would never ask again by itself.
    let timing = Timing {
        every: Duration::from_secs(u64::from(u32::MAX)),
        pause: Duration::from_millis(1),
        limit: Duration::from_secs(30),
    };
    let first = Fake::start(&socket, Ok(one("c1", "nginx")));
    let mut runtime = spawn(
        &Handle::current(),
        vec![socket.clone()],
        Arc::clone(&wanted),
        timing,
    );
    runtime.next().await;
    drop(first);
    let _second = Fake::start(&socket, Ok(one("c2", "envoy")));
    wanted.notify_one();
    let names = runtime.next().await;
    assert!(names.get("c2", None).is_some());
}

#[tokio::test]
async fn what_goes_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let limit = Duration::from_secs(30);
    let socket = |name: &str| folder.path().join(name);
    assert!(matches!(
        first_answer(&[socket("none")], limit).await,
        Ok(None)
    ));

    let _refusing = Fake::start(&socket("refusing"), Err("12"));
    let error = first_answer(&[socket("none"), socket("refusing")], limit)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("ListPodSandbox answers 12 in its words"),
        "{text}"
    );
    // The next one is asked.
    let _working = Fake::start(&socket("working"), Ok(one("c1", "nginx")));
    let sockets = [socket("refusing"), socket("working")];
    assert!(first_answer(&sockets, limit).await.unwrap().is_some());

    // Nobody listens any more, no HTTP/2, no answer at all.
    drop(std::os::unix::net::UnixListener::bind(socket("dead")).unwrap());
    let error = first_answer(&[socket("dead")], limit).await.unwrap_err();
    assert!(matches!(error, CriError::Connect { .. }), "{error}");
    let listener = std::os::unix::net::UnixListener::bind(socket("other")).unwrap();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let error = first_answer(&[socket("other")], limit).await.unwrap_err();
    assert!(matches!(error, CriError::Http { .. }), "{error}");
    other.join().unwrap();
    let _silent = std::os::unix::net::UnixListener::bind(socket("silent")).unwrap();
    let short = Duration::from_millis(50);
    let error = first_answer(&[socket("silent")], short).await.unwrap_err();
    assert!(matches!(error, CriError::Timeout { .. }), "{error}");
}
