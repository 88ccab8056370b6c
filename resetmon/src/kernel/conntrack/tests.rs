use super::*;

#[test]
fn addresses_as_packets_have_them() {
    let tuple = |source: &str, destination: &str| {
        Tuple::new(source.parse().unwrap(), destination.parse().unwrap())
    };
    assert_eq!(
        tuple("[::ffff:10.0.0.5]:1", "[::ffff:10.0.0.9]:2"),
        tuple("10.0.0.5:1", "10.0.0.9:2")
    );
    assert_eq!(
        tuple("[fe80::1%3]:1", "[2001:db8::1]:2"),
        tuple("[fe80::1]:1", "[2001:db8::1]:2")
    );
}

#[test]
fn what_the_kernel_refuses() {
    for (errno, expected) in [
        (Errno::PERM, ConntrackError::Denied),
        (Errno::INVAL, ConntrackError::Absent),
        (Errno::PROTONOSUPPORT, ConntrackError::Absent),
    ] {
        assert_eq!(ConntrackError::of(errno), expected);
    }
    assert!(matches!(
        ConntrackError::of(Errno::NOBUFS),
        ConntrackError::Failed(_)
    ));
}
