//! An admin interface for tests: fixed answers by path, as public API documents show them.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::routes::instance::Instance;

/// Answers until it is dropped; what it was not told of, with 404.
pub(crate) struct Recorded {
    /// Where.
    pub(crate) address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    /// Headers of the questions, as sent.
    headers: Arc<Mutex<Vec<String>>>,
}

/// A connection.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Path with query, status, body.
type Answers = Vec<(String, u16, String)>;

impl Recorded {
    pub(crate) fn start(answers: &[(&str, &str)]) -> Self {
        Self::serve(answers, |stream| Some(Box::new(stream)))
    }

    /// The same over TLS.
    pub(crate) fn start_tls(answers: &[(&str, &str)], server: Arc<ServerConfig>) -> Self {
        Self::serve(answers, move |mut stream| {
            let mut connection = ServerConnection::new(Arc::clone(&server)).unwrap();
            // A client that trusts nobody goes.
            while connection.is_handshaking() {
                connection.complete_io(&mut stream).ok()?;
            }
            Some(Box::new(StreamOwned::new(connection, stream)))
        })
    }

    fn serve(
        answers: &[(&str, &str)],
        accept: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let recorded = Self {
            address,
            answers: Arc::default(),
            headers: Arc::default(),
        };
        for (path, body) in answers {
            recorded.set(path, 200, body);
        }
        // The thread ends with the test's process.
        let (answers, headers) = (Arc::clone(&recorded.answers), Arc::clone(&recorded.headers));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(stream) = accept(stream.unwrap()) else {
                    continue;
                };
                let mut stream = BufReader::new(stream);
                let mut first = String::new();
                stream.read_line(&mut first).unwrap();
                let mut line = String::new();
                while stream.read_line(&mut line).unwrap() > 2 {
                    headers.lock().unwrap().push(line.trim_end().to_owned());
                    line.clear();
                }
                let path = first.split(' ').nth(1).unwrap_or("");
                let (status, body) = {
                    let answers = answers.lock().unwrap();
                    let known = answers.iter().rev().find(|answer| answer.0 == path);
                    known.map_or((404, "{}".to_owned()), |answer| {
                        (answer.1, answer.2.clone())
                    })
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let stream = stream.get_mut();
                // Whoever asked may have gone.
                let _ = stream.write_all((head + &body).as_bytes());
                let _ = stream.flush();
            }
        });
        recorded
    }

    /// The value of header `name` in the questions so far, in their order.
    pub(crate) fn sent(&self, name: &str) -> Vec<String> {
        let headers = self.headers.lock().unwrap();
        let pairs = headers.iter().filter_map(|line| line.split_once(": "));
        let values = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.to_owned()).collect()
    }

    /// From now on, `path` is answered so.
    pub(crate) fn set(&self, path: &str, status: u16, body: &str) {
        let answer = (path.to_owned(), status, body.to_owned());
        self.answers.lock().unwrap().push(answer);
    }
}

/// This process, as if it had been executed so in `directory`.
pub(crate) fn as_if(exe: &str, line: &str, directory: &std::path::Path) -> Instance {
    Instance {
        proc_root: "/proc".into(),
        pid: std::process::id(),
        exe: exe.into(),
        arguments: line.split(' ').map(str::to_owned).collect(),
        directory: directory.to_owned(),
        ..Instance::default()
    }
}
