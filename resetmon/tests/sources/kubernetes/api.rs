//! A stand-in for the Kubernetes API server: lists in pages and watches, as its clients see them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// Objects of one page of a list.
const PAGE: usize = 2;

/// What the cluster has; outlives the servers that show it.
#[derive(Clone, Default)]
pub(crate) struct Cluster {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Watches from before this version have expired.
    oldest: u64,
    /// Objects by collection (`/api/v1/pods`) and `namespace/name`.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// What changed: version, collection, event.
    events: Vec<(u64, String, Value)>,
    /// Collections that are answered with a status.
    refused: BTreeMap<String, u16>,
    /// Every request, as `LIST /api/v1/pods?…` or `WATCH …`.
    requests: Vec<String>,
    /// Counts how often every connection was cut.
    killed: u64,
}

impl Cluster {
    /// The API server has `collection`; without it, 404.
    pub(crate) fn install(&self, collections: &[&str]) {
        let mut state = self.lock();
        for collection in collections {
            state.objects.entry((*collection).to_owned()).or_default();
        }
    }

    pub(crate) fn apply(&self, collection: &str, name: &str, mut object: Value) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let (namespace, plain) = name.split_once('/').unwrap_or(("", name));
        if object.get("metadata").is_none() {
            object["metadata"] = json!({});
        }
        object["metadata"]["name"] = json!(plain);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let known = state.objects.entry(collection.to_owned()).or_default();
        let before = known.insert(name.to_owned(), object.clone());
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        let event = json!({"type": kind, "object": object});
        state.events.push((version, collection.to_owned(), event));
        self.state.1.notify_all();
    }

    pub(crate) fn delete(&self, collection: &str, name: &str) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let objects = state.objects.get_mut(collection).unwrap();
        let object = objects.remove(name).unwrap();
        let event = json!({"type": "DELETED", "object": object});
        state.events.push((version, collection.to_owned(), event));
        self.state.1.notify_all();
    }

    /// The API server no longer has `collection`.
    pub(crate) fn remove(&self, collection: &str) {
        self.lock().objects.remove(collection);
    }

    /// Gives `other` what `collection` has.
    pub(crate) fn copy(&self, collection: &str, other: &Self) {
        let objects = self.lock().objects[collection].clone();
        for (name, object) in objects {
            other.apply(collection, &name, object);
        }
    }

    /// From now on `collection` is answered with `status`; with `None` as usual.
    pub(crate) fn refuse(&self, collection: &str, status: Option<u16>) {
        let mut state = self.lock();
        match status {
            Some(status) => state.refused.insert(collection.to_owned(), status),
            None => state.refused.remove(collection),
        };
    }

    /// Forgets what happened: watches that come back have to list again.
    pub(crate) fn compact(&self) {
        let mut state = self.lock();
        state.version += 1;
        state.oldest = state.version;
        state.events.clear();
    }

    /// The requests so far that contain `part`.
    pub(crate) fn requests(&self, part: &str) -> Vec<String> {
        let state = self.lock();
        let found = state.requests.iter().filter(|line| line.contains(part));
        found.cloned().collect()
    }

    /// Ends every connection, as when a balancer in between restarts.
    pub(crate) fn hang_up(&self) {
        self.lock().killed += 1;
        self.state.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }
}

/// A server, killed when dropped.
pub(crate) struct Server {
    cluster: Cluster,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `cluster` at 127.0.0.1 and `port`.
    pub(crate) fn start(cluster: &Cluster, port: u16) -> Self {
        // The port may still have connections of the server before.
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = listener.local_addr().unwrap();
        let served = cluster.clone();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), true) = (stream, !ended.load(Ordering::Relaxed)) else {
                    return;
                };
                let (served, over) = (served.clone(), Arc::clone(&ended));
                let killed = served.lock().killed;
                let life = Life { killed, over };
                std::thread::spawn(move || serve(&served, &stream, &life));
            }
        });
        Self {
            cluster: cluster.clone(),
            address,
            over,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.cluster.hang_up();
        // Wakes the thread that accepts, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().unwrap().join();
    }
}

/// How long a connection lives.
struct Life {
    killed: u64,
    over: Arc<AtomicBool>,
}

impl Life {
    fn is_over(&self, state: &State) -> bool {
        state.killed != self.killed || self.over.load(Ordering::Relaxed)
    }
}

/// Answers requests until the connection ends or is cut.
fn serve(cluster: &Cluster, mut stream: &TcpStream, life: &Life) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut head = String::new();
    loop {
        match lines.read_line(&mut head) {
            Ok(0) => return,
            Ok(_) if head.ends_with("\r\n\r\n") => {}
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if life.is_over(&cluster.lock()) {
                    return;
                }
                continue;
            }
            Err(_) => return,
        }
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        head.clear();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query: BTreeMap<&str, &str> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let watch = query.get("watch") == Some(&"true");
        let verb = if watch { "WATCH" } else { "LIST" };
        cluster.lock().requests.push(format!("{verb} {target}"));
        let refused = {
            let state = cluster.lock();
            let missing = (!state.objects.contains_key(path)).then_some(404);
            state.refused.get(path).copied().or(missing)
        };
        let done = if let Some(status) = refused {
            refuse(&mut stream, status, path)
        } else if watch {
            stream_events(cluster, &mut stream, path, &query, life)
        } else {
            list(cluster, &mut stream, path, &query)
        };
        if done.is_err() {
            return;
        }
    }
}

fn reply(stream: &mut &TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "code": code, "reason": reason, "message": message,
    })
}

fn refuse(stream: &mut &TcpStream, status: u16, path: &str) -> std::io::Result<()> {
    if status == 404 {
        // As a real one does it for a group or version that it does not have.
        let text = "404 page not found\n";
        return write!(
            stream,
            "HTTP/1.1 404 x\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
    }
    let message = format!("{path} is forbidden: User \"system:serviceaccount:a:b\" cannot list it");
    reply(stream, status, &failure(status, "Forbidden", &message))
}

fn list(
    cluster: &Cluster,
    stream: &mut &TcpStream,
    path: &str,
    query: &BTreeMap<&str, &str>,
) -> std::io::Result<()> {
    let start: usize = query
        .get("continue")
        .map_or(0, |text| text.parse().unwrap());
    let answer = {
        let state = cluster.lock();
        let all: Vec<&Value> = state.objects[path].values().collect();
        let end = all.len().min(start + PAGE);
        let more = if end < all.len() {
            end.to_string()
        } else {
            String::new()
        };
        json!({
            "kind": "List", "apiVersion": "v1",
            "metadata": {"resourceVersion": state.version.to_string(), "continue": more},
            "items": all[start.min(end)..end],
        })
    };
    reply(stream, 200, &answer)
}

fn stream_events(
    cluster: &Cluster,
    stream: &mut &TcpStream,
    path: &str,
    query: &BTreeMap<&str, &str>,
    life: &Life,
) -> std::io::Result<()> {
    let mut sent: u64 = query["resourceVersion"].parse().unwrap();
    write!(
        stream,
        "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )?;
    let mut told = BTreeSet::new();
    loop {
        let lines: Vec<String> = {
            let mut state = cluster.lock();
            loop {
                if life.is_over(&state) || state.refused.contains_key(path) {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
                if sent < state.oldest {
                    sent = u64::MAX;
                    let status = failure(410, "Expired", "too old resource version");
                    break vec![json!({"type": "ERROR", "object": status}).to_string()];
                }
                let new = state.events.iter();
                let new: Vec<_> = new
                    .filter(|(version, of, _)| *version > sent && *of == path)
                    .filter(|(version, _, _)| told.insert(*version))
                    .map(|(_, _, event)| event.to_string())
                    .collect();
                if !new.is_empty() {
                    break new;
                }
                let wait = Duration::from_millis(100);
                state = cluster.state.1.wait_timeout(state, wait).unwrap().0;
            }
        };
        for line in lines {
            // Cut where it hurts: a line may come in several pieces.
            let bytes = format!("{line}\n");
            for piece in bytes.as_bytes().chunks(700) {
                write!(stream, "{:x}\r\n", piece.len())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
        }
        if sent == u64::MAX {
            // The server ends an expired watch.
            return stream.write_all(b"0\r\n\r\n");
        }
    }
}
