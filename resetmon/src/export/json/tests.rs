use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::export::sample;
use crate::kernel::observation::{Exit, KnownBy, Role};
use crate::reset::{Cause, Process, ResetId};

fn parsed(reset: &Reset) -> Value {
    serde_json::from_str(&to_json_line(reset)).unwrap()
}

#[test]
fn a_received_reset_in_full() {
    let line = to_json_line(&sample::received());
    assert_eq!(
        line,
        concat!(
            r#"{"v":1,"event":"reset","id":"000000000000002a","time":"2025-03-04T05:06:07.123456Z","#,
            r#""direction":"received","sender":"peer","cause":"aborted_mid_response","#,
            r#""benign":false,"failure":"reset","stage":"established","state_before":"established","#,
            r#""socket":"full","netns":4026531840,"cookie":"9007199254740993","#,
            r#""ip_version":4,"local":"10.0.0.1:45678","remote":"10.0.0.9:8080","#,
            r#""role":"client","process":{"pid":4242,"name":"nginx","comm":"nginx","#,
            r#""exe":"/usr/sbin/nginx","cmdline":"nginx: worker process","#,
            r#""unit":"nginx.service","known_by":"connect"},"peer":"payments-1","#,
            r#""gateway":"edge","route":"/api/pay","upstream":"payments","leg":"upstream","#,
            r#""age_s":61.25,"idle_in_s":1.5,"idle_out_s":61.2,"ack_s":1.5,"tick_s":0.004,"#,
            r#""bytes_received":12345,"bytes_acked":340,"bytes_sent":340,"segs_in":12,"#,
            r#""segs_out":9,"data_segs_in":10,"data_segs_out":1,"unread":0,"unacked":0,"#,
            r#""srtt_s":0.00042,"retransmits":0,"probes_out":0,"fin_received":false,"#,
            r#""fin_sent":false,"socket_error":"ECONNRESET","uid":33,"#,
            r#""flags":["has_file","keepalive"],"#,
            r#""evidence":["no FIN was seen","12345 bytes of the answer had come"]}"#,
        )
    );
}

#[test]
fn a_reset_without_socket() {
    let line = to_json_line(&sample::sent_without_socket());
    assert_eq!(
        line,
        concat!(
            r#"{"v":1,"event":"reset","id":"000000000000002b","time":"2025-03-04T05:06:07.123456Z","#,
            r#""direction":"sent","sender":"local","cause":"no_listener","benign":false,"#,
            r#""failure":"refused","reason":"no_socket","stage":"none","socket":"none","netns":4026531840,"#,
            r#""ip_version":4,"local":"10.0.0.1:81","remote":"10.0.0.7:50000","#,
            r#""process":null,"peer":"10.0.0.7","tick_s":0.004,"fin_received":false,"#,
            r#""fin_sent":false,"trigger":{"flags":"SYN","len":0,"seq":1000,"ack":0,"ttl":64},"#,
            r#""evidence":["a SYN met no listening socket"]}"#,
        )
    );
}

fn check(rows: &[(Reset, &str, Value)]) {
    for (reset, key, expected) in rows {
        let line = parsed(reset);
        let found = line.pointer(key).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{key} in {line}");
    }
}

#[test]
fn how_a_process_died() {
    let dying = |exit| {
        let mut reset = sample::received();
        let mut task = sample::task(4242, "nginx", KnownBy::Current);
        task.exit = Some(exit);
        reset.observation.closer = Some(task);
        reset.closer = reset.owner.clone();
        reset
    };
    let (signal, status) = (dying(Exit::Signal(9)), dying(Exit::Status(0)));
    check(&[
        (signal.clone(), "/closer/exit_signal", json!("SIGKILL")),
        (signal.clone(), "/process/exit_signal", json!("SIGKILL")),
        (signal, "/closer/exit_status", Value::Null),
        (status.clone(), "/closer/exit_status", json!(0)),
        (status, "/closer/exit_signal", Value::Null),
    ]);
}

fn changed(change: fn(&mut Reset)) -> Reset {
    let mut reset = sample::received();
    change(&mut reset);
    reset
}

#[test]
fn other_resets_by_key() {
    check(&[
        (
            changed(|reset| reset.propagated_from = Some(sample::propagated())),
            "/propagated_from",
            json!({
                "id": "0000000000000029",
                "leg": "downstream",
                "remote": "[2001:db8::9]:50000",
                "peer": "office",
                "route": "/api/pay",
                "cause": "client_canceled",
            }),
        ),
        (
            changed(|reset| reset.twin = Some(sample::twin())),
            "/twin/cause",
            json!("closed_with_unread_data"),
        ),
        (
            changed(|reset| reset.twin = Some(sample::twin())),
            "/twin/process/container/pod",
            json!("web-0"),
        ),
        (
            changed(|reset| {
                reset.twin = Some(Twin {
                    owner: None,
                    ..sample::twin()
                });
            }),
            "/twin",
            json!({"id": "0000000000000028", "netns": 4_026_531_999_u32,
                "cause": "closed_with_unread_data"}),
        ),
    ]);
}

#[test]
fn members_by_key() {
    check(&[
        (
            changed(|reset| reset.repeat_of = Some(ResetId(1))),
            "/repeat_of",
            json!("0000000000000001"),
        ),
        (
            changed(|reset| reset.diagnosis.cause = Cause::ResetAfterClose),
            "/benign",
            json!(true),
        ),
        (
            changed(|reset| reset.observation.role = Some(Role::Server)),
            "/role",
            json!("server"),
        ),
        (
            changed(|reset| {
                reset.observation.local = "[2001:db8::1]:443".parse().unwrap();
                reset.observation.remote = "[2001:db8::2]:5".parse().unwrap();
            }),
            "/local",
            json!("[2001:db8::1]:443"),
        ),
        (
            changed(|reset| reset.observation.local = "[::1]:443".parse().unwrap()),
            "/ip_version",
            json!(6),
        ),
        (
            changed(|reset| reset.observation.accept_queue = Some((129, 128))),
            "/accept_queue",
            json!(129),
        ),
        (
            changed(|reset| reset.observation.accept_queue = Some((129, 128))),
            "/accept_limit",
            json!(128),
        ),
        (
            changed(|reset| reset.observation.linger = Some(Duration::ZERO)),
            "/linger_s",
            json!(0.0),
        ),
        (
            changed(|reset| reset.observation.socket_error = 0),
            "/socket_error",
            Value::Null,
        ),
        (
            changed(|reset| {
                reset.observation.flags.receive_shut = true;
                reset.observation.flags.send_shut = true;
            }),
            "/shutdown",
            json!(["receive", "send"]),
        ),
        (
            changed(|reset| {
                reset.observation.since_fin_received = Some(Duration::from_nanos(1_500_400));
            }),
            "/since_fin_received_s",
            json!(0.0015),
        ),
        (
            changed(|reset| {
                let process = Process {
                    container: Some(sample::container()),
                    ..sample::nginx()
                };
                reset.owner.as_mut().unwrap().process = Arc::new(process);
            }),
            "/process/container/pod_uid",
            json!("11111111-2222-3333-4444-555555555555"),
        ),
        (named(), "/process/container/namespace", json!("shop")),
        (named(), "/process/container/pod", json!("web-0")),
        (named(), "/process/container/name", json!("proxy")),
        (
            named(),
            "/process/container/workload",
            json!("StatefulSet/web"),
        ),
    ]);
}

/// By a container that Kubernetes has named.
fn named() -> Reset {
    let mut reset = sample::received();
    let process = Process {
        container: Some(sample::named_container()),
        ..sample::nginx()
    };
    reset.owner.as_mut().unwrap().process = Arc::new(process);
    reset
}

#[test]
fn the_death_of_one_process_is_not_told_of_another() {
    let mut reset = sample::received();
    let mut task = sample::task(9, "master", KnownBy::Current);
    task.exit = Some(Exit::Signal(9));
    reset.observation.closer = Some(task);
    assert_eq!(parsed(&reset).pointer("/process/exit_signal"), None);
}

#[test]
fn hostile_text_stays_on_one_line() {
    let mut reset = sample::received();
    let name = "a\"b\\c\nd\u{1b}[31m\u{0}\u{9b}2J\u{7f}é";
    reset.peer = Arc::from(name);
    let line = to_json_line(&reset);
    assert!(!line.contains(char::is_control), "{line:?}");
    assert_eq!(parsed(&reset)["peer"], name);
}
