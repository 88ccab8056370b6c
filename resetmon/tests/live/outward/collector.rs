//! Events by OTLP through a real collector, Rotel, which hands on what it took.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::refused;
use crate::netns::Netns;
use crate::service::{Service, wait_for};

/// Where the collector listens, in a network namespace of its own.
const COLLECTOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);

/// A collector, ended when dropped.
struct Rotel(Child);

impl Rotel {
    /// Starts the collector that the set-up fetched; it hands logs on to `backend`.
    fn start(netns: &Netns, backend: SocketAddr, folder: &Path) -> Result<Self> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
        let own = fs::read_dir(&tools)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("rotel-") && path.is_file()
            });
        let chosen = std::env::var_os("RESETMON_TEST_ROTEL").map(PathBuf::from);
        let program = chosen.or(own);
        let program = program.context("there is no Rotel: `cargo xtask setup` installs it")?;
        let mut command = Command::new(program);
        command
            .arg("start")
            .args(["--otlp-http-endpoint", &COLLECTOR.to_string()])
            .args(["--otlp-grpc-endpoint", "127.0.0.1:4317"])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .arg("--otlp-exporter-endpoint")
            .arg(format!("http://{backend}"))
            .arg("--pid-file")
            .arg(folder.join("rotel.pid"))
            .arg("--log-file")
            .arg(folder.join("rotel.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("rotel.err"))?);
        let mut rotel = Self(netns.run_in(&mut command).spawn().context("Rotel")?);
        wait_for("the collector", || {
            if let Some(status) = rotel.0.try_wait()? {
                let said = fs::read_to_string(folder.join("rotel.err"))?;
                anyhow::bail!("it ended with {status}: {said}");
            }
            let open = netns.enter(|| TcpStream::connect(COLLECTOR).is_ok())?;
            Ok(open.then_some(()))
        })?;
        Ok(rotel)
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = crate::agent::terminate(&mut self.0);
    }
}

/// What the collector hands its requests to.
fn backend(netns: &Netns) -> Result<(SocketAddr, Receiver<ExportLogsServiceRequest>)> {
    let listener = netns.enter(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))??;
    let address = listener.local_addr()?;
    let (sender, taken) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let sender = sender.clone();
            std::thread::spawn(move || {
                // The connection is over when the collector leaves it.
                let _ = serve(stream, &sender);
            });
        }
    });
    Ok((address, taken))
}

/// Takes requests until the connection ends.
fn serve(stream: TcpStream, taken: &Sender<ExportLogsServiceRequest>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(reader.read_line(&mut head)? > 0, "the end");
        }
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .context("a length")?;
        let mut body = vec![0; length.parse()?];
        reader.read_exact(&mut body)?;
        // This release compresses, whatever it is told.
        ensure!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
        taken.send(ExportLogsServiceRequest::decode(&*unzipped(&body)?)?)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn unzipped(body: &[u8]) -> Result<Vec<u8>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(body)?;
    file.rewind()?;
    let output = Command::new("gzip").arg("-dc").stdin(file).output()?;
    ensure!(output.status.success(), "gzip");
    Ok(output.stdout)
}

/// A value as JSON has it.
fn plain(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(flag)) => json!(flag),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(array)) => array
            .values
            .iter()
            .map(|value| plain(Some(value)))
            .collect(),
        _ => Value::Null,
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<&str, Value> {
    list.iter()
        .map(|one| (one.key.as_str(), plain(one.value.as_ref())))
        .collect()
}

/// Records of the namespace that came through, by the events' names.
fn gather(
    netns: &Netns,
    taken: &Receiver<ExportLogsServiceRequest>,
    records: &mut BTreeMap<String, LogRecord>,
) -> Result<()> {
    for request in taken.try_iter() {
        for resource in request.resource_logs {
            let own = resource.resource.context("who reports")?;
            let own = attributes(&own.attributes);
            ensure!(own["service.name"] == "resetmon", "{own:?}");
            for record in resource
                .scope_logs
                .into_iter()
                .flat_map(|logs| logs.log_records)
            {
                let found = attributes(&record.attributes);
                if found["resetmon.netns"] != netns.inode() {
                    continue;
                }
                let id = found["resetmon.id"].as_str().context("an id")?.to_owned();
                let twice = records.insert(id.clone(), record);
                ensure!(twice.is_none(), "{id} came twice");
            }
        }
    }
    Ok(())
}

/// Every line with its record, as soon as they are so many and as many as each other.
fn all(
    least: usize,
    agent: &Service,
    netns: &Netns,
    taken: &Receiver<ExportLogsServiceRequest>,
    records: &mut BTreeMap<String, LogRecord>,
) -> Result<()> {
    let lines = wait_for("every event from the collector", || {
        gather(netns, taken, records)?;
        let lines = agent.events(netns)?;
        Ok((lines.len() >= least && records.len() == lines.len()).then_some(lines))
    })?;
    for line in &lines {
        let id = line["id"].as_str().context("an id")?;
        let record = records.get(id).with_context(|| format!("no record {id}"))?;
        check(line, record).with_context(|| format!("{line}\n{record:?}"))?;
    }
    Ok(())
}

/// Whether a record says what its line says. The collector's release hands no names of events on.
fn check(line: &Value, record: &LogRecord) -> Result<()> {
    let found = attributes(&record.attributes);
    for (key, attribute) in [
        ("cause", "resetmon.cause"),
        ("evidence", "resetmon.evidence"),
        ("benign", "resetmon.benign"),
        ("direction", "resetmon.direction"),
    ] {
        let value = found.get(attribute);
        ensure!(value == line.get(key), "{key}: {value:?}");
    }
    let pid = found.get("process.pid").unwrap_or(&Value::Null);
    ensure!(*pid == line["process"]["pid"], "pid {pid}");
    let text = |key| {
        found.get(key).map_or_else(String::new, |value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
    };
    let local = format!(
        "{}:{}",
        text("network.local.address"),
        text("network.local.port")
    );
    ensure!(line["local"] == local, "{local}");
    let time: jiff::Timestamp = line["time"].as_str().context("a time")?.parse()?;
    let seconds = u64::try_from(time.as_nanosecond())?;
    ensure!(record.time_unix_nano / 1000 == seconds / 1000, "time");
    let sentence = plain(record.body.as_ref());
    let cause = line["cause"].as_str().context("a cause")?;
    ensure!(
        sentence.as_str().is_some_and(|text| text.contains(cause)),
        "{sentence}"
    );
    Ok(())
}

/// Events arrive once each through a collector, also those of while it was away.
pub(super) fn otlp() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    let (address, taken) = backend(&netns)?;
    let mut rotel = Rotel::start(&netns, address, folder.path())?;
    let config = folder.path().join("resetmon.yaml");
    fs::write(
        &config,
        format!("detail_rate: 0\nevents: {{otlp: {{endpoint: \"http://{COLLECTOR}\"}}}}\n"),
    )?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.args(["run", "--no-pin", "--config"]).arg(&config);
    let mut agent = Service::start(&mut command, &netns, folder.path(), "agent")?;
    // More than one request holds.
    netns.enter(|| refused(600))??;
    let mut records = BTreeMap::new();
    all(1200, &agent, &netns, &taken, &mut records)?;

    drop(rotel);
    netns.enter(|| refused(10))??;
    wait_for("a try without a collector", || {
        let tried = agent.events(&netns)?;
        let port = format!("127.0.0.1:{}", COLLECTOR.port());
        Ok(tried
            .iter()
            .any(|line| line["remote"] == port)
            .then_some(()))
    })?;
    rotel = Rotel::start(&netns, address, folder.path())?;
    all(1222, &agent, &netns, &taken, &mut records)?;
    let page = crate::http::get(&netns, agent.address()?, "/metrics", "text/plain")?.body;
    ensure!(
        page.contains("resetmon_events_lost_total{where=\"otlp\"} 0\n"),
        "events were lost"
    );
    agent.stop()?;
    drop(rotel);
    Ok(())
}
