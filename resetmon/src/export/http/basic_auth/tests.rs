use super::*;

fn users(entries: &[(&str, &str)]) -> Arc<Users> {
    let hashed = entries.iter().map(|(name, password)| {
        let hash = bcrypt::hash(password, 4).unwrap();
        ((*name).to_owned(), hash)
    });
    Arc::new(Users::new(hashed.collect()).unwrap())
}

fn headers(name: &[u8], password: &[u8]) -> HeaderMap {
    let value = format!("Basic {}", STANDARD.encode([name, b":", password].concat()));
    HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
}

#[tokio::test]
async fn names_and_passwords() {
    let users = users(&[
        ("alice", "secret"),
        ("größe", "pass:wörd"),
        ("empty", ""),
        ("", "nameless"),
    ]);
    for (name, password, expected) in [
        (&b"alice"[..], &b"secret"[..], true),
        (b"alice", b"Secret", false),
        (b"alice", b"secret ", false),
        (b"alice", b"secre", false),
        (b"alice", b"", false),
        (b"Alice", b"secret", false),
        (b"alice\0", b"secret", false),
        ("größe".as_bytes(), "pass:wörd".as_bytes(), true),
        ("größe".as_bytes(), b"pass", false),
        (b"gr\xf6\xdfe", "pass:wörd".as_bytes(), false),
        (b"empty", b"", true),
        (b"empty", b"secret", false),
        (b"", b"nameless", true),
        (b"nobody", b"secret", false),
    ] {
        // The second time what the first has proved is remembered.
        for turn in 0..2 {
            let admitted = users.admit(&headers(name, password)).await;
            assert_eq!(admitted, expected, "{name:?} {password:?} {turn}");
        }
    }
}

#[tokio::test]
async fn what_is_proved_needs_no_hash_and_nothing_else_is_let_past_it() {
    let users = users(&[("alice", "secret")]);
    assert!(users.admit(&headers(b"alice", b"secret")).await);
    // While no hash can be computed:
    let turn = users.turn.acquire().await.unwrap();
    assert!(users.admit(&headers(b"alice", b"secret")).await);
    for (name, password) in [("alice", "other"), ("nobody", "secret")] {
        let headers = headers(name.as_bytes(), password.as_bytes());
        let mut waiting = std::pin::pin!(users.admit(&headers));
        tokio::select! {
            biased;
            admitted = waiting.as_mut() => panic!("{name} {password}: {admitted} without a hash"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(users.turn.available_permits(), 0);
    }
    drop(turn);
}

#[test]
fn an_unknown_name_is_checked_against_some_user_always_the_same() {
    let users = users(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let mut seen = [false; 3];
    for number in 0..100 {
        let name = format!("nobody{number}");
        let (index, is_known) = users.index(name.as_bytes());
        assert!(!is_known, "{name}");
        assert_eq!(users.index(name.as_bytes()), (index, false));
        seen[index] = true;
        // Not even with the right password of that user; and nothing is remembered of it.
        let password = ["1", "2", "3"][index];
        let bytes = format!("{name}:{password}").into_bytes();
        let credentials = Credentials {
            colon: name.len(),
            bytes,
        };
        if number < 10 {
            assert!(!users.prove(&credentials));
        }
        assert!(users.hashes[index].proved.get().is_none());
    }
    assert_eq!(seen, [true; 3]);
    assert_eq!(users.index(b"b"), (1, true));
}

#[test]
fn credentials_in_a_request() {
    for (value, expected) in [
        ("Basic YTpi", Some(("a", "b"))),
        ("BASIC   YTpi ", Some(("a", "b"))),
        ("Basic YTpiOmM=", Some(("a", "b:c"))),
        ("Basic Og==", Some(("", ""))),
        ("Basic YQ==", None),
        ("Basic YTpi=", None),
        ("Basic", None),
        ("Digest YTpi", None),
        ("YTpi", None),
        ("", None),
    ] {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        let found = Credentials::read(&headers);
        let found = found.as_ref().map(|found| (found.name(), found.password()));
        let expected = expected.map(|(name, password)| (name.as_bytes(), password.as_bytes()));
        assert_eq!(found, expected, "{value}");
    }
    assert!(Credentials::read(&HeaderMap::new()).is_none());
}
