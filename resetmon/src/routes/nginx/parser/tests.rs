use std::fs;

use super::*;

fn shown(tree: &[Directive]) -> String {
    let one = |directive: &Directive| match &directive.block {
        Some(inside) => format!("{directive} {{ {} }}", shown(inside)),
        None => format!("{directive};"),
    };
    tree.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn parsed(text: &str) -> Result<String, String> {
    let tree = parse(text, Path::new("n.conf"), None, &mut Notes::default());
    tree.map(|tree| shown(&tree))
        .map_err(|error| error.to_string())
}

#[test]
fn blocks() {
    for (text, expected) in [
        ("", ""),
        ("a;b c;", "a; b c;"),
        ("a{}b{c{d e;}}", "a {  } b { c { d e; } }"),
        (
            "a {\n content_by_lua_block { if x then y = { '}' } end }\n b; }",
            "a { content_by_lua_block; b; }",
        ),
        ("if ($a ~ \"^/x{3}\") { b; }", "if ($a ~ ^/x{3} ) { b; }"),
    ] {
        assert_eq!(parsed(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_and_where() {
    for (text, expected) in [
        ("a;\n\nb", "n.conf:3: a `;` is missing at the end"),
        ("a {\n b;", "n.conf:1: `a` has no closing `}`"),
        ("a { b\n} ", "n.conf:2: a `;` is missing before `}`"),
        ("a; }", "n.conf:1: a `}` without its `{`"),
        (";", "n.conf:1: a `;` without a directive"),
        ("a;\n{}", "n.conf:2: a `{` without a directive"),
        ("a 'b", "n.conf:1: a quote has no end"),
        (
            "a;\nset_by_lua_block $x { '",
            "n.conf:2: the Lua block has no end",
        ),
    ] {
        assert_eq!(parsed(text).unwrap_err(), expected, "{text}");
    }
    let deep = "a {".repeat(MAX_DEPTH + 1);
    assert_eq!(
        parsed(&deep).unwrap_err(),
        "n.conf:1: too many blocks inside each other"
    );
}

#[test]
fn includes() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/nginx/sites/b.conf", "b;");
    write("etc/nginx/sites/a.conf", "a;\ninclude deeper/x.conf;");
    write("etc/nginx/deeper/x.conf", "x;");
    write("etc/nginx/loop.conf", "include loop.conf;");
    write("etc/nginx/broken.conf", "a;\nb");
    let files = Files::open(root.path(), Path::new("/")).unwrap();
    let read = |text: &str| {
        let mut notes = Notes::default();
        let path = Path::new("/etc/nginx/nginx.conf");
        let tree = parse(text, path, Some(&files), &mut notes);
        (
            tree.map(|tree| shown(&tree))
                .map_err(|error| error.to_string()),
            notes.into_lines(),
        )
    };
    assert_eq!(
        read("m { include sites/*.conf; include sites/*.none; c; }"),
        (Ok("m { a; x; b; c; }".to_owned()), Vec::new())
    );
    assert_eq!(
        read("a;\ninclude gone.conf;"),
        (
            Ok("a;".to_owned()),
            vec![
                "/etc/nginx/nginx.conf:2: /etc/nginx/gone.conf: No such file or directory (os \
                 error 2)"
                    .to_owned()
            ]
        )
    );
    for (text, expected) in [
        (
            "include broken.conf;",
            "/etc/nginx/broken.conf:2: a `;` is missing at the end",
        ),
        (
            "include loop.conf;",
            "/etc/nginx/loop.conf:1: too many includes or macros inside each other",
        ),
    ] {
        assert_eq!(read(text).0.unwrap_err(), expected);
    }
}
