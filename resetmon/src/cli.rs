//! The command line, one file a subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::version;

pub mod demo;
pub mod detach;
pub mod doctor;
mod gateways;
mod live;
mod log;
pub mod record;
pub mod report;
mod rounds;
pub mod routes;
pub mod run;
pub mod selection;
pub mod session;
pub mod signals;
mod tty;
pub mod watch;

/// Every TCP reset on a node, explained: who sent it, whose process, which peer, which gateway
/// route, and why.
#[derive(Debug, Parser)]
#[command(version = version::long(), propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How much resetmon says about itself, on stderr; overrides the configuration, default info
    #[arg(long, global = true, value_enum, value_name = LEVELS, hide_possible_values = true)]
    log_level: Option<LogLevel>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent: metrics over HTTP, JSON lines of resets on request
    Run(run::Args),
    /// Show resets as they happen
    ///
    /// On a terminal this is a full-screen view: events and what they amount to by route, process,
    /// peer and cause, filtered and sorted while they come, each with its evidence and advice. ?
    /// shows the keys, q ends. It keeps the last 2000 events and goes on counting. In a pipe, and
    /// with --plain, each event is a row and lines that say why.
    Watch(watch::Args),
    /// Watch for a while, or read saved events, then say what is wrong and what to change
    ///
    /// Events of one cause at one place make a finding, from a few on (a single one is enough where
    /// a process was killed). It says what stands out: one fixed age or silence, one endpoint, route,
    /// pod or client that is worse than the others, a burst and what was restarted then, a share
    /// that grows, a provider that throttles; how sure that is; and what to change. Examples are
    /// named by the id that `watch --json` and the metrics' exemplars have. Compressed events:
    /// zcat FILE | resetmon report --from -
    Report(report::Args),
    /// Write events to a file, and the resets as packets that Wireshark opens
    ///
    /// Events are JSON lines, which `resetmon report --from FILE` reads. With --pcapng each reset
    /// is also a packet: its IP and TCP headers as they were seen, or rebuilt from what the
    /// kernel knew (a comment says which), with comments that name cause, process, pod, route, peer
    /// and evidence; each network namespace is an interface. Ctrl-C ends.
    Record(record::Args),
    /// Show the routes as read from the gateways' configuration, and what was not understood
    Routes(routes::Args),
    /// Make a few harmless resets on the loopback and show them explained, as `watch` would
    ///
    /// Touches nothing but its own connections to 127.0.0.1, and takes a few seconds. Needs the
    /// privileges of `watch`.
    ///
    /// Exit status: 0 if all were explained as expected, else 1, and what was not seen.
    Demo(demo::Args),
    /// Detach the probes that `run` left pinned, and say what was removed
    Detach(detach::Args),
    /// Say what this kernel and these privileges allow, what is degraded, and the remedy
    ///
    /// Exit status: 0 if resetmon works here (with --strict: only if nothing is degraded),
    /// 1 if degraded and --strict, 2 if it cannot work.
    Doctor(doctor::Args),
}

/// What `--help` shows for [`LogLevel`].
const LEVELS: &str = "off|error|warn|info|debug|trace";

/// Level of diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// And what is degraded.
    Warn,
    /// And what starts and stops.
    Info,
    /// And each decision.
    Debug,
    /// And everything.
    Trace,
}

impl LogLevel {
    /// As `tracing` has it; `None` for off.
    #[must_use]
    pub fn level(self) -> Option<tracing::Level> {
        Some(match self {
            Self::Off => return None,
            Self::Error => tracing::Level::ERROR,
            Self::Warn => tracing::Level::WARN,
            Self::Info => tracing::Level::INFO,
            Self::Debug => tracing::Level::DEBUG,
            Self::Trace => tracing::Level::TRACE,
        })
    }
}

/// Options of every command that captures.
#[derive(Debug, clap::Args)]
pub struct CaptureArgs {
    /// Configuration file (YAML): gateways, routes, names of peers; see `resetmon run --help`
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,

    /// Diagnostics of the eBPF programs themselves, into the same log; costs nothing when off
    #[arg(long, value_enum, default_value_t = LogLevel::Off, value_name = LEVELS, hide_possible_values = true)]
    pub ebpf_log: LogLevel,
}

/// Runs the command; errors go to stderr as one chain.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    init_log(&cli);
    let result = match cli.command {
        Command::Run(args) => run::main(args),
        Command::Watch(args) => watch::main(args),
        Command::Report(args) => report::main(&args),
        Command::Record(args) => record::main(args),
        Command::Routes(args) => routes::main(&args),
        Command::Demo(args) => demo::main(&args),
        Command::Detach(args) => detach::main(&args),
        Command::Doctor(args) => return doctor::main(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("resetmon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What others say. The Kubernetes client has an error for each attempt, without saying at what; who
/// calls it tells that once, with the reason.
const OTHERS: &str = "warn,kube_client::client::builder=off";

fn init_log(cli: &Cli) {
    let capture = match &cli.command {
        Command::Run(args) => Some(&args.capture),
        Command::Watch(args) => Some(&args.capture),
        Command::Report(args) => Some(&args.capture),
        Command::Record(args) => Some(&args.capture),
        Command::Routes(_) | Command::Demo(_) | Command::Detach(_) | Command::Doctor(_) => None,
    };
    let mut level = match cli.log_level {
        Some(level) => level.level(),
        // What is wrong with the file is said when the command reads it.
        None => capture
            .and_then(|capture| Config::load(capture.config.as_deref()?).ok())
            .map_or(Some(tracing::Level::INFO), |config| {
                config.log_level.into_level()
            }),
    };
    // The programs' diagnostics are wanted as soon as they are asked for.
    let wanted = capture.and_then(|capture| capture.ebpf_log.level());
    let own = level.map_or("off".to_owned(), |level| level.to_string().to_lowercase());
    let filter = match wanted {
        Some(wanted) => {
            level = level.max(Some(wanted));
            format!(
                "{OTHERS},resetmon={own},gateway_ebpf={}",
                wanted.to_string().to_lowercase()
            )
        }
        None if level.is_none() => "off".to_owned(),
        None => format!("{OTHERS},resetmon={own}"),
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| log::Diagnostics)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(level.is_some_and(|level| level > tracing::Level::INFO))
        .init();
}
