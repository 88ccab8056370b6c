use super::*;
use crate::event::Event;
use crate::export::json::to_json_line;
use crate::export::sample as resets;

fn names() -> Names {
    Names::new(1000)
}

fn read_all(text: &[u8]) -> (Vec<Sample>, Read) {
    let mut samples = Vec::new();
    let read = read(text, &mut names(), |sample| samples.push(sample)).unwrap();
    (samples, read)
}

fn line() -> String {
    to_json_line(&resets::received())
}

#[test]
fn a_line_read_back_is_the_reset_that_was_written() {
    for mut reset in [resets::received(), resets::sent_without_socket()] {
        // The line has microseconds, as the kernel's clock here has nanoseconds.
        reset.time = jiff::Timestamp::from_microsecond(reset.time.as_microsecond()).unwrap();
        let mut names = names();
        let expected = Sample::of(&Event::Reset(reset.clone()), &mut names);
        let read = parse(to_json_line(&reset).as_bytes(), &mut names).unwrap();
        assert_eq!(read, expected);
    }
}

#[test]
fn what_is_no_event_is_counted_and_passed_over() {
    let line = line();
    let long = format!("{{\"v\":1,\"x\":\"{}\"}}", "y".repeat(LONGEST));
    let text = [
        &line,
        "",
        "   ",
        "no JSON",
        "{}",
        "[1]",
        &line.replace("\"received\"", "\"sideways\""),
        &line.replace("\"cause\":\"", "\"cause\":\"not_"),
        &line.replace("10.0.0.9:8080", "10.0.0.9"),
        &line.replace("2025-", "soon-"),
        &line.replace("\"pid\":4242", "\"pid\":-1"),
        &long,
        &line,
    ]
    .join("\n")
        + "\n";
    let (samples, read) = read_all(text.as_bytes());
    assert_eq!((samples.len(), read.events), (2, 2));
    assert_eq!(read.malformed, 9);
    let (number, why) = read.first_malformed.clone().unwrap();
    assert_eq!(number, 4);
    assert!(why.contains("expected"), "{why}");
    assert!(!read.cut_off && read.other_version == 0);
    assert!(
        read.losses()[0].contains("the first is line 4"),
        "{:?}",
        read.losses()
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut bytes = line().into_bytes();
    let place = bytes
        .windows(5)
        .position(|window| window == b"nginx")
        .unwrap();
    bytes[place] = 0xff;
    bytes.push(b'\n');
    let (samples, read) = read_all(&bytes);
    assert_eq!((samples.len(), read.malformed), (0, 1));
}

#[test]
fn a_last_line_that_is_cut_off_is_said() {
    let line = line();
    for keep in [1, line.len() / 2, line.len() - 1] {
        let (samples, read) = read_all(format!("{line}\n{}", &line[..keep]).as_bytes());
        assert_eq!(samples.len(), 1);
        assert!(read.cut_off && read.malformed == 0, "{keep}: {read:?}");
    }
    // Without its line feed it is whole.
    let (samples, read) = read_all(format!("{line}\n{line}").as_bytes());
    assert_eq!((samples.len(), read.cut_off), (2, false));
}

#[test]
fn other_versions_are_no_damage() {
    let text = format!(
        "{}\n{}\n",
        line().replacen("\"v\":1", "\"v\":2", 1),
        "{\"v\":3,\"id\":{\"run\":1,\"number\":2}}"
    );
    let (samples, read) = read_all(text.as_bytes());
    assert_eq!(
        (samples.len(), read.other_version, read.malformed),
        (0, 2, 0)
    );
}

#[test]
fn failures_without_a_reset() {
    let text = r#"{"v":1,"event":"failure","failure":"empty_response","id":"2a","time":"2025-03-04T05:06:07Z","local":"10.0.0.1:4000","remote":"10.0.0.9:80","role":"client","process":null,"peer":"api","later":{"key":[1,2]}}"#;
    let sample = parse(text.as_bytes(), &mut names()).unwrap();
    assert_eq!(sample.failure, FailureKind::EmptyResponse);
    assert_eq!(
        (sample.cause, sample.direction, sample.owner),
        (None, None, None)
    );
    assert_eq!(sample.id, 42);
}

#[test]
fn escapes_and_absurd_times() {
    let text = line()
        .replacen("\"nginx\"", r#""ng\u0069nx\n\u001b[31m""#, 1)
        .replacen("\"age_s\":61.25", "\"age_s\":-1e300", 1);
    let mut names = names();
    let sample = parse(text.as_bytes(), &mut names).unwrap();
    let owner = sample.owner.unwrap();
    assert_eq!(names.text(owner.name), r"nginx\n\u{1b}[31m");
    assert_eq!(sample.times.age, None);
}
