//! etcd and the API server.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a loaded machine may need for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const SERVER: &str = "https://127.0.0.1:6443";
const ETCD: &str = "http://127.0.0.1:2379";
/// Tokens of the cluster's administrator, and of resetmon.
const TOKENS: &str = "administrator-token,administrator,1,\"system:masters\"\n\
                      resetmon-token,resetmon,2\n";

/// Leaves the machine's network for a namespace with nothing but the loopback.
pub(crate) fn enter_namespace() {
    // SAFETY: the process has one thread; CLONE_NEWNET changes no file descriptors.
    let entered = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) };
    entered.expect("a network namespace of our own: needs root");
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.expect("ip").success(), "the loopback does not come up");
}

/// A program, killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A control plane without controllers: whoever tests it does their work.
pub(crate) struct ControlPlane {
    server: Option<Killed>,
    _etcd: Killed,
    folder: TempDir,
}

impl ControlPlane {
    /// Starts both and waits until the API server is ready.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        write_secrets(folder.path());
        let etcd = spawn(
            Command::new("etcd")
                .arg("--data-dir")
                .arg(folder.path().join("etcd"))
                .args([
                    "--listen-client-urls",
                    ETCD,
                    "--advertise-client-urls",
                    ETCD,
                ])
                .args(["--listen-peer-urls", "http://127.0.0.1:2380"])
                .args(["--log-level", "error"])
                // On machines that are none of its usual ones it wants to be told.
                .env(
                    "ETCD_UNSUPPORTED_ARCH",
                    std::env::consts::ARCH.replace("aarch64", "arm64"),
                ),
            &folder.path().join("etcd.log"),
        );
        let mut plane = Self {
            server: None,
            _etcd: etcd,
            folder,
        };
        plane.start_server().await;
        plane
    }

    /// Starts the API server, which was not there or killed, and waits until it is ready.
    pub(crate) async fn start_server(&mut self) {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kubernetes/kube-apiserver");
        let mut command = Command::new(&program);
        command.args([
            format!("--etcd-servers={ETCD}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--secure-port=6443".to_owned(),
            format!("--tls-cert-file={}", at("server.pem")),
            format!("--tls-private-key-file={}", at("server.key")),
            format!("--service-account-key-file={}", at("account.pub")),
            format!("--service-account-signing-key-file={}", at("account.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--token-auth-file={}", at("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            // Nobody makes service accounts here.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--cert-dir={}", at("certificates")),
        ]);
        let log = self.folder.path().join("server.log");
        let server = self.server.insert(spawn(&mut command, &log));
        let client = administrator(self.folder.path()).await;
        let end = Instant::now() + PATIENCE;
        loop {
            let ready = hyper::Request::get("/readyz").body(Vec::new()).unwrap();
            if client
                .request_text(ready)
                .await
                .is_ok_and(|text| text == "ok")
            {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.path().join("server.log")).unwrap();
            let ended = server.0.try_wait().unwrap();
            assert!(ended.is_none(), "the API server ended: {ended:?} {}", log());
            assert!(
                Instant::now() < end,
                "the API server is not ready: {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// SIGKILL for the API server.
    pub(crate) fn kill_server(&mut self) {
        let server = self.server.take().unwrap();
        kill_process(Pid::from_child(&server.0), Signal::KILL).unwrap();
    }

    /// Makes etcd forget everything but the present, so that watches from before are refused.
    pub(crate) fn forget_history(&self, revision: &str) {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", ETCD, "compact", revision]);
        let output = command.output().expect("etcdctl: cargo xtask installs it");
        assert!(output.status.success(), "{output:?}");
    }

    /// A client of the administrator.
    pub(crate) async fn administrator(&self) -> Client {
        administrator(self.folder.path()).await
    }

    /// A kubeconfig for one of the users, with the server's own authority.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig(self.folder.path(), user, &format!("{user}-token"))
    }

    /// A kubeconfig for whose token this is.
    pub(crate) fn kubeconfig_with(&self, token: &str) -> PathBuf {
        kubeconfig(self.folder.path(), "bearer", token)
    }

    /// A client of the user of a kubeconfig.
    pub(crate) async fn client(&self, kubeconfig: &Path) -> Client {
        client(kubeconfig).await
    }
}

async fn administrator(folder: &Path) -> Client {
    client(&kubeconfig(folder, "administrator", "administrator-token")).await
}

async fn client(kubeconfig: &Path) -> Client {
    // An error means that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn kubeconfig(folder: &Path, user: &str, token: &str) -> PathBuf {
    let path = folder.join(format!("{user}.kubeconfig"));
    let authority = folder.join("authority.pem");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, \
             clusters: [{{name: c, cluster: {{server: \"{SERVER}\", certificate-authority: \"{}\"}}}}], \
             users: [{{name: u, user: {{token: \"{token}\"}}}}], \
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}",
        authority.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn spawn(command: &mut Command, log: &Path) -> Killed {
    let out = File::options().create(true).append(true).open(log).unwrap();
    let err = out.try_clone().unwrap();
    let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
    let name = command.get_program().display();
    Killed(child.unwrap_or_else(|error| {
        panic!("{name} does not start: {error}; `cargo xtask test --kubernetes` gets it")
    }))
}

/// An authority, the server's certificate by it, a key for service accounts, and the tokens.
fn write_secrets(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let key = KeyPair::generate().unwrap();
    let account = KeyPair::generate().unwrap();
    let server = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    for (name, text) in [
        ("authority.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
        ("account.key", account.serialize_pem()),
        ("account.pub", account.public_key_pem()),
        ("tokens.csv", TOKENS.to_owned()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
