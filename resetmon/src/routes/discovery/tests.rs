use std::process::{Child, Command};
use std::sync::Mutex;

use super::*;
use crate::routes::source::{ReadingFuture, SourceError};

/// A sleeping process, killed when dropped. Its mark is a further time to sleep.
struct Sleeper(Child);

impl Sleeper {
    fn new(mark: &str) -> Self {
        Self::with(&[mark])
    }

    /// One that has these further times to sleep.
    fn with(marks: &[&str]) -> Self {
        let mut command = Command::new("sleep");
        let child = command.arg("1000").args(marks).spawn().unwrap();
        until_asleep(child.id());
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

/// Waits until the process has executed `sleep`.
fn until_asleep(pid: u32) {
    let cmdline = format!("/proc/{pid}/cmdline");
    for _ in 0..60_000 {
        if std::fs::read_to_string(&cmdline)
            .unwrap()
            .starts_with("sleep")
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{cmdline} never began with sleep");
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the sleepers say, and how often they were asked.
#[derive(Default)]
struct Script {
    generation: Option<u64>,
    answer: Option<Reading>,
    asked: usize,
}

struct Sleeping {
    mark: &'static str,
    script: Arc<Mutex<Script>>,
}

impl Source for Sleeping {
    fn kind(&self) -> &'static str {
        "sleep"
    }

    fn claims(&self, instance: &Instance) -> bool {
        instance.program() == "sleep" && instance.arguments.iter().any(|mark| mark == self.mark)
    }

    fn generation(&self, _: &Instance) -> Option<u64> {
        self.script.lock().unwrap().generation
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        let mut script = self.script.lock().unwrap();
        script.asked += 1;
        let port = instance.arguments.get(3);
        let answer = script.answer.clone().map(|reading| Reading {
            origin: match (&instance.config, port) {
                (Some(path), _) => path.display().to_string(),
                (None, Some(port)) => format!("/etc/{port}"),
                (None, None) => reading.origin.clone(),
            },
            listeners: match port {
                Some(port) => vec![format!(":{port}").parse().unwrap()],
                None => reading.listeners,
            },
            ..reading
        });
        Box::pin(async { answer.ok_or_else(|| SourceError::Invalid("asleep".to_owned())) })
    }
}

fn discovery(mark: &'static str, overrides: Vec<Override>) -> (Discovery, Arc<Mutex<Script>>) {
    let script = Arc::new(Mutex::new(Script::default()));
    let source = Sleeping {
        mark,
        script: Arc::clone(&script),
    };
    let discovery = Discovery::new("/proc".into(), vec![Box::new(source)], overrides);
    (discovery, script)
}

fn reading(listener: &str) -> Reading {
    Reading {
        listeners: vec![listener.parse().unwrap()],
        origin: "/etc/sleep".to_owned(),
        ..Reading::default()
    }
}

#[tokio::test]
async fn a_gateway_comes_changes_fails_and_goes() {
    let (mut discovery, script) = discovery("1001", Vec::new());
    assert!(!discovery.look().await.unwrap());
    assert_eq!(discovery.found(), []);

    let sleeper = Sleeper::new("1001");
    *script.lock().unwrap() = Script {
        generation: Some(1),
        answer: Some(reading(":80")),
        asked: 0,
    };
    assert!(discovery.look().await.unwrap());
    let found = discovery.found();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, found[0].pid), ("sleep", sleeper.pid()));
    assert_eq!(&*found[0].gateway.name, "sleep");
    assert_eq!(found[0].gateway.listeners, [":80".parse().unwrap()]);
    assert_eq!(
        found[0].gateway.processes[0],
        ProcessPattern::Tree(sleeper.pid())
    );
    assert!(found[0].gateway.netns.is_some());

    // The same generation is not asked again.
    script.lock().unwrap().answer = Some(reading(":81"));
    assert!(!discovery.look().await.unwrap());
    assert_eq!(script.lock().unwrap().asked, 1);
    script.lock().unwrap().generation = Some(2);
    assert!(discovery.look().await.unwrap());
    assert_eq!(
        discovery.found()[0].gateway.listeners,
        [":81".parse().unwrap()]
    );

    // One that knows no generations is asked every time; what fails keeps what was.
    *script.lock().unwrap() = Script::default();
    assert!(discovery.look().await.unwrap());
    assert!(!discovery.look().await.unwrap());
    assert_eq!(script.lock().unwrap().asked, 2);
    let found = discovery.found();
    assert_eq!(found[0].error.as_deref(), Some("asleep"));
    assert_eq!(found[0].gateway.listeners, [":81".parse().unwrap()]);

    // A failure is tried again in the same generation.
    *script.lock().unwrap() = Script {
        generation: Some(3),
        ..Script::default()
    };
    discovery.look().await.unwrap();
    script.lock().unwrap().answer = Some(reading(":82"));
    assert!(discovery.look().await.unwrap());
    assert_eq!(discovery.found()[0].error, None);

    // Its last resets are read after its end.
    drop(sleeper);
    assert!(!discovery.look().await.unwrap());
    assert_eq!(discovery.found().len(), 1);
    let asked = script.lock().unwrap().asked;
    script.lock().unwrap().generation = Some(4);
    discovery.look().await.unwrap();
    assert_eq!(script.lock().unwrap().asked, asked);
}

#[tokio::test]
async fn equal_names_are_told_apart_and_the_operator_has_the_last_word() {
    let first = Sleeper::new("1002");
    let second = Sleeper::new("1002");
    let (mut plain, script) = discovery("1002", Vec::new());
    script.lock().unwrap().answer = Some(reading(":80"));
    plain.look().await.unwrap();
    let mut names: Vec<_> = plain
        .found()
        .iter()
        .map(|found| found.gateway.name.to_string())
        .collect();
    names.sort();
    let mut expected = [first.pid(), second.pid()].map(|pid| format!("sleep:{pid}"));
    expected.sort();
    assert_eq!(names, expected);

    let entry = Override {
        kind: "sleep".into(),
        name: Some("bed".into()),
        config: Some("/etc/bed".into()),
        ..Override::default()
    };
    let (mut with_name, script) = discovery("1002", vec![entry.clone()]);
    script.lock().unwrap().answer = Some(reading(":80"));
    with_name.look().await.unwrap();
    let found = with_name.found();
    assert!(found.iter().all(|found| found.origin == "/etc/bed"));
    assert!(
        found
            .iter()
            .all(|found| found.gateway.name.starts_with("bed:"))
    );

    // Also for a process that no source would claim.
    let own = Instance::of(
        Path::new("/proc"),
        &Family::read(Path::new("/proc")).unwrap(),
        std::process::id(),
    );
    let exe = own.unwrap().exe;
    let entry = Override {
        process: Some(ProcessPattern::new(exe.to_str().unwrap())),
        ..entry
    };
    let (mut other, script) = discovery("1003", vec![entry]);
    script.lock().unwrap().answer = Some(reading(":80"));
    other.look().await.unwrap();
    let found = other.found();
    assert!(
        found.iter().any(|found| found.pid == std::process::id()),
        "{found:?}"
    );
    assert!(found.iter().all(|found| found.exe == exe));
}

/// `pid=name` of all, by pid, with words for the pids.
fn named(discovery: &Discovery, words: &[(&str, u32)]) -> String {
    let found = discovery.found();
    let mut lines: Vec<String> = found
        .iter()
        .map(|found| {
            let word = words.iter().find(|(_, pid)| *pid == found.pid);
            format!("{}={}", word.unwrap().0, found.gateway.name)
        })
        .collect();
    lines.sort();
    lines.join(" ")
}

#[tokio::test]
async fn a_restarted_gateway_keeps_its_name() {
    let (mut discovery, script) = discovery("1005", Vec::new());
    script.lock().unwrap().answer = Some(reading(":80"));
    let first = Sleeper::with(&["1005", "81"]);
    discovery.look().await.unwrap();
    let mut words = vec![("a", first.pid())];
    assert_eq!(named(&discovery, &words), "a=sleep");

    // Not read yet, but of the same command line.
    drop(first);
    let second = Sleeper::with(&["1005", "81"]);
    words.push(("b", second.pid()));
    script.lock().unwrap().answer = None;
    discovery.look().await.unwrap();
    assert_eq!(named(&discovery, &words), "a=sleep b=sleep");
    script.lock().unwrap().answer = Some(reading(":80"));
    discovery.look().await.unwrap();
    assert_eq!(named(&discovery, &words), "a=sleep b=sleep");

    // A neighbour with a listener of its own is another gateway, also while the first restarts.
    let neighbour = Sleeper::with(&["1005", "82"]);
    words.push(("n", neighbour.pid()));
    discovery.look().await.unwrap();
    let both = "a=sleep:/etc/81 b=sleep:/etc/81 n=sleep:/etc/82";
    assert_eq!(named(&discovery, &words), both);
    drop(second);
    discovery.look().await.unwrap();
    let alone = "a=sleep:/etc/81 b=sleep:/etc/81 n=sleep:/etc/82";
    let without = named(&discovery, &words);
    assert_ne!(without, alone, "two that are gone and have no heir");
    let third = Sleeper::with(&["1005", "81"]);
    words.push(("c", third.pid()));
    discovery.look().await.unwrap();
    assert_eq!(
        named(&discovery, &words),
        "a=sleep:/etc/81 b=sleep:/etc/81 c=sleep:/etc/81 n=sleep:/etc/82"
    );

    // With another listener it is another gateway, and of two that fit neither is the heir.
    drop(neighbour);
    let elsewhere = Sleeper::with(&["1005", "83"]);
    words.push(("e", elsewhere.pid()));
    discovery.look().await.unwrap();
    assert!(named(&discovery, &words).ends_with("e=sleep:/etc/83 n=sleep:/etc/82"));
    drop(third);
    let twins = [(); 2].map(|()| Sleeper::with(&["1005", "81"]));
    words.extend([("x", twins[0].pid()), ("y", twins[1].pid())]);
    discovery.look().await.unwrap();
    let found = named(&discovery, &words);
    assert!(!found.contains("c=sleep:/etc/81"), "{found}");
}

#[tokio::test]
async fn a_process_that_executes_another_program_is_looked_at_again() {
    let (mut discovery, script) = discovery("1004", Vec::new());
    script.lock().unwrap().answer = Some(reading(":80"));
    let mut shell = Command::new("sh")
        .args(["-c", "read x; exec sleep 1000 1004"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    discovery.look().await.unwrap();
    assert_eq!(discovery.found(), []);
    drop(shell.stdin.take());
    until_asleep(shell.id());
    discovery.look().await.unwrap();
    assert_eq!(discovery.found().len(), 1);
    shell.kill().unwrap();
    shell.wait().unwrap();
}

#[tokio::test]
async fn only_gateways_with_host_names_have_a_resolver() {
    let (mut discovery, script) = discovery("1009", Vec::new());
    let _sleeper = Sleeper::new("1009");
    let with = |endpoint: &str| Reading {
        upstreams: vec![crate::routes::table::Upstream {
            name: "u".into(),
            endpoints: vec![endpoint.parse().unwrap()],
        }],
        name_servers: vec!["192.0.2.53:53".parse().unwrap()],
        ..reading(":80")
    };
    for (generation, endpoint, expected) in [
        (1, "192.0.2.1:80", false),
        (2, "api:80", true),
        (3, "192.0.2.1:80", false),
    ] {
        *script.lock().unwrap() = Script {
            generation: Some(generation),
            answer: Some(with(endpoint)),
            asked: 0,
        };
        discovery.look().await.unwrap();
        let found = discovery.found();
        let resolver = &found[0].gateway.resolver;
        assert_eq!(resolver.is_some(), expected, "{endpoint}");
        if let Some(resolver) = resolver {
            // It runs in the network of this process.
            assert_eq!(resolver.netns, None);
            assert_eq!(resolver.program_servers, with(endpoint).name_servers);
        }
        // Nothing has changed since.
        assert!(!discovery.look().await.unwrap());
    }
}
