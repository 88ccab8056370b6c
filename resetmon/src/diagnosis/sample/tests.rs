use super::*;

#[test]
fn names_are_bounded_and_fit_to_be_shown() {
    let mut names = Names::new(5);
    assert_eq!(names.intern(""), Name::NONE);
    let nginx = names.intern("nginx");
    assert_eq!(names.intern("nginx"), nginx);
    assert_eq!(names.text(nginx), "nginx");
    let steering = names.intern("a\u{1b}[31m");
    assert_eq!(names.text(steering), r"a\u{1b}[31m");
    assert_eq!(names.intern("a\u{1b}[31m"), steering);
    let long = "x".repeat(500);
    let cut = names.intern(&long);
    assert!(names.text(cut).ends_with('…'));
    assert_eq!(names.intern(&long), cut);
    assert_eq!(names.intern("no room"), Name::OTHER);
    assert_eq!(names.text(Name::OTHER), "(other)");
    assert_eq!(names.text(Name::NONE), "");
}

#[test]
fn waiting_is_counted_from_the_request() {
    let times = Times {
        idle_in: Some(Duration::from_secs(1)),
        idle_out: Some(Duration::from_secs(2)),
        ..Times::default()
    };
    assert_eq!(times.waiting(Some(Role::Client)), times.idle_out);
    assert_eq!(times.waiting(Some(Role::Server)), times.idle_in);
    assert_eq!(times.waiting(None), None);
    assert_eq!(times.idle(), times.idle_in);
    assert_eq!(Times::default().silence(Some(Cause::IdleTimeout)), None);
}
