//! The pages behind TLS and a password, as the page on security shows it; and what must not be
//! shown anywhere.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::agent::terminate;
use crate::netns::Netns;
use crate::panels::{PROMETHEUS, ask};
use crate::scenario::Whole;
use crate::service::{Service, wait_for};

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "example_of_the_security_page_works",
        programs: &["openssl", "curl", "prometheus"],
        natively: true,
        run: example,
    },
    Whole {
        name: "no_secret_is_shown",
        programs: &["nginx", "curl"],
        natively: true,
        run: nothing_shown,
    },
];

const PAGE: &str = include_str!("../../../deploy/SECURITY.md");
/// The chapter of the page.
const CHAPTER: &str = "## TLS and basic auth: an example\n";
/// Where the page has its files.
const FOLDER: &str = "/etc/resetmon";

/// What the page shows, with files in a folder of the test.
struct Example {
    /// Commands, in order.
    commands: Vec<String>,
    /// Files, in order.
    files: Vec<String>,
}

impl Example {
    fn read(folder: &Path) -> Result<Self> {
        let (_, chapter) = PAGE.split_once(CHAPTER).context("no such chapter")?;
        let chapter = chapter.split("\n## ").next().context("an end")?;
        let chapter = chapter.replace(FOLDER, &folder.display().to_string());
        let commands = chapter
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .map(|line| line.split("   #").next().unwrap_or(line).trim().to_owned())
            .collect();
        let files = chapter.split("```yaml\n").skip(1);
        let files = files.filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()));
        Ok(Self {
            commands,
            files: files.collect(),
        })
    }

    /// The one command that begins so.
    fn command(&self, start: &str) -> Result<&str> {
        let found = self.commands.iter().find(|line| line.starts_with(start));
        found
            .map(String::as_str)
            .with_context(|| format!("no {start} in {:?}", self.commands))
    }
}

/// A command line in the namespace; what it prints, and whether it succeeded.
fn shell(netns: &Netns, line: &str) -> Result<(String, bool)> {
    let mut command = Command::new("sh");
    command.args(["-c", line]).stdin(Stdio::null());
    let output = netns.run_in(&mut command).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((said, output.status.success()))
}

fn example() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    let example = Example::read(folder.path())?;
    let [web, job] = &example.files[..] else {
        anyhow::bail!("not two files: {:?}", example.files);
    };
    let openssl = format!(
        "cd {} && {}",
        folder.path().display(),
        example.command("openssl ")?
    );
    ensure!(shell(&netns, &openssl)?.1, "{openssl}");
    fs::write(folder.path().join("web.yaml"), web)?;
    let words: Vec<&str> = example.command("resetmon run")?.split(' ').collect();
    let log = folder.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.args(&words[1..]).arg("--no-pin");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log)?);
    let mut agent = netns.run_in(&mut command).spawn()?;
    let checked = served(&netns, &example, job, folder.path(), &log);
    terminate(&mut agent)?;
    checked
}

fn served(netns: &Netns, example: &Example, job: &str, folder: &Path, log: &Path) -> Result<()> {
    wait_for("the start", || {
        let said = fs::read_to_string(log)?;
        Ok(said.contains("ready: serving https://").then_some(()))
    })?;
    let curl = example.command("curl ")?;
    let (page, _) = shell(netns, &format!("{curl} --silent"))?;
    ensure!(page.contains("resetmon_build_info{"), "{curl}: {page}");
    let credentials = "--user prometheus:resets ";
    ensure!(curl.contains(credentials), "{curl}");
    for (change, expected) in [("", "401"), ("--user prometheus:reset ", "401")] {
        let line = curl.replace(credentials, change);
        let status = "--silent --output /dev/null --write-out %{http_code}";
        let (status, _) = shell(netns, &format!("{line} {status}"))?;
        ensure!(status == expected, "{line}: {status}");
    }
    let open = curl.replace(credentials, "").replace("/metrics", "/readyz");
    let (page, _) = shell(netns, &format!("{open} --silent"))?;
    ensure!(page == "ready\n", "{open}: {page}");
    let plain = curl.replace("https:", "http:");
    let (page, _) = shell(netns, &format!("{plain} --silent"))?;
    ensure!(!page.contains("resetmon_"), "{plain}: {page}");

    let config = folder.join("prometheus.yaml");
    let global = "global: {scrape_interval: 1s, scrape_timeout: 1s}\n";
    fs::write(&config, format!("{global}{job}"))?;
    let mut prometheus = prometheus(netns, &config, folder)?;
    let scraped = wait_for("a scrape", || {
        let up = ask(netns, "query", &[("query", "up{job=\"resetmon\"} == 1")]);
        let series = up
            .ok()
            .and_then(|data| Some(data["result"].as_array()?.len()));
        Ok((series == Some(1)).then_some(()))
    });
    terminate(&mut prometheus)?;
    scraped?;
    let said = fs::read_to_string(log)?;
    ensure!(
        !said.contains("resets:") && !said.contains("$2y$"),
        "{said}"
    );
    Ok(())
}

fn prometheus(netns: &Netns, config: &Path, folder: &Path) -> Result<Child> {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("tsdb").display()
        ))
        .arg(format!("--web.listen-address={PROMETHEUS}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    netns
        .run_in(&mut command)
        .spawn()
        .context("start prometheus")
}

/// Where there are secrets. None of these words may be shown, but for what stands in arguments,
/// in the events.
const NGINX: &str = "
user root;
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
    upstream payments { server 127.0.0.1:9; }
    server {
        listen 127.0.0.1:8080;
        location /pay {
            proxy_set_header Authorization \"Bearer secret-in-a-header\";
            proxy_pass http://payments/?token=secret-in-a-query;
        }
        location /one { proxy_pass http://127.0.0.1:10/one?key=secret-in-a-path; }
        location /two { return 301 https://user:secret-in-a-link@example.com/; }
    }
}
";

/// A reset by each of these ends up in the metrics.
const REQUESTS: [&str; 3] = [
    "http://127.0.0.1:8080/pay",
    "http://127.0.0.1:8080/one",
    "http://127.0.0.1:9/?q=secret-in-arguments",
];

/// An admin interface that refuses whoever asks, with the whole question in its answer.
fn admin(netns: &Netns) -> Result<(u16, std::thread::JoinHandle<Result<String>>)> {
    let listener = netns.enter(|| TcpListener::bind("127.0.0.1:0"))??;
    let port = listener.local_addr()?.port();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut question = String::new();
        let mut reader = BufReader::new(stream.try_clone()?);
        while reader.read_line(&mut question)? > 2 {}
        let answer = question.replace("\r\n", " ");
        write!(
            stream,
            "HTTP/1.1 401 {answer}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        )?;
        Ok(question)
    });
    Ok((port, asked))
}

fn nothing_shown() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("t"))?;
    fs::write(at("nginx.conf"), NGINX)?;
    fs::write(at("token"), "secret-in-a-file\n")?;
    let (port, asked) = admin(&netns)?;
    fs::write(
        at("resetmon.yaml"),
        format!(
            "log_level: trace\ndiscovery:\n  interval: 1s\n  gateways:\n  - {{kind: kong, process: sleep, \
             admin: \"127.0.0.1:{port}\", token_file: {}}}\n",
            at("token").display()
        ),
    )?;
    let quiet = |command: &mut Command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        netns.run_in(command).spawn().context("start")
    };
    let mut nginx = quiet(
        Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf"]),
    )?;
    let mut sleep = quiet(Command::new("sleep").arg("1000"))?;
    let checked = watched(&netns, folder.path(), asked);
    terminate(&mut nginx)?;
    sleep.kill()?;
    sleep.wait()?;
    checked
}

fn watched(
    netns: &Netns,
    folder: &Path,
    asked: std::thread::JoinHandle<Result<String>>,
) -> Result<()> {
    let config = folder.join("resetmon.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.args(["run", "--no-pin", "--config"]).arg(&config);
    let mut agent = Service::start(&mut command, netns, folder, "agent")?;
    let question = asked
        .join()
        .ok()
        .context("the admin interface panicked")??;
    ensure!(question.contains("secret-in-a-file"), "{question}");
    let page = |path: &str| crate::http::get(netns, agent.address()?, path, "text/plain");
    wait_for("nginx", || {
        Ok(page("/status")?.body.contains("nginx.conf").then_some(()))
    })?;
    for url in REQUESTS {
        shell(
            netns,
            &format!("curl --silent --user me:secret-in-arguments {url}"),
        )?;
    }
    let metrics = wait_for("the resets", || {
        let metrics = page("/metrics")?.body;
        let all = ["route=\"/pay\"", "route=\"/one\"", "process=\"curl\""]
            .iter()
            .all(|label| metrics.contains(label));
        Ok(all.then_some(metrics))
    })?;
    let status = page("/status")?.body;
    let routes = Command::new(env!("CARGO_BIN_EXE_resetmon"))
        .args(["routes", "--json", "--config"])
        .arg(&config)
        .output()?;
    let routes = String::from_utf8_lossy(&[routes.stdout, routes.stderr].concat()).into_owned();
    ensure!(routes.contains("/pay"), "{routes}");
    agent.stop()?;
    let log = agent.said()?;
    ensure!(log.contains(" DEBUG ") || log.contains(" TRACE "), "{log}");
    for (place, text) in [
        ("metrics", &metrics),
        ("status", &status),
        ("routes", &routes),
        ("log", &log),
    ] {
        let shown = text.lines().find(|line| line.contains("secret-"));
        ensure!(shown.is_none(), "{place}: {}", shown.unwrap_or_default());
    }
    let mut in_arguments = 0;
    for event in agent.events(netns)? {
        let text = event.to_string();
        in_arguments += usize::from(text.contains("secret-in-arguments"));
        let rest = text.replace("secret-in-arguments", "");
        ensure!(!rest.contains("secret-"), "{text}");
    }
    ensure!(in_arguments > 0, "curl's arguments are in no event");
    Ok(())
}
