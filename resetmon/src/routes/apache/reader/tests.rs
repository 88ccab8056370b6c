use std::fs;

use super::*;

fn shown(tree: &[Directive]) -> String {
    let one = |directive: &Directive| match &directive.block {
        Some(inside) => format!("<{directive}> {} </>", shown(inside)),
        None => format!("{directive};"),
    };
    tree.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn read(text: &str, surroundings: &Surroundings) -> (Result<String, String>, Vec<String>) {
    let mut notes = Notes::default();
    let mut reader = Reader::new(surroundings, None, &mut notes);
    let tree = reader.file(text, Path::new("a.conf"), 0);
    let tree = tree
        .map(|tree| shown(&tree))
        .map_err(|error| error.to_string());
    (tree, notes.into_lines())
}

fn surroundings() -> Surroundings {
    Surroundings {
        server_root: "/etc/apache2".into(),
        defines: vec!["ssl".to_owned()],
        environment: vec!["HOST=app.internal".to_owned(), "EMPTY=".to_owned()],
        modules: vec!["mod_so.c".to_owned()],
        version: Some((2, 4, 57)),
        ..Surroundings::default()
    }
}

#[test]
fn lines_words_and_sections() {
    for (text, expected) in [
        ("", ""),
        (
            "# all\\\n of it\n\nProxyPass /a  \"http://b c/\"",
            "proxypass /a http://b c/;",
        ),
        (
            "A 'b \"c' \"d 'e\" \"f\\\"g\\\\h\\.i\" j\\.k",
            "a b \"c d 'e f\"g\\h\\.i j\\.k;",
        ),
        ("A b \\\n   c\r\nD", "a b c; d;"),
        ("A b#c", "a b#c;"),
        ("A \"\"", "a ;"),
        (
            "<VirtualHost *:80 [::]:80>\n <Location \"/a b\">\n X\n </location>\n</VIRTUALHOST>",
            "<virtualhost *:80 [::]:80> <location /a b> x; </> </>",
        ),
        (
            "<If \"%{HTTP_HOST} > 'a'\">\n</If>",
            "<if %{HTTP_HOST} > 'a'>  </>",
        ),
        // An end in a comment or behind the last line is none.
        ("A b\\", ""),
    ] {
        let (tree, notes) = read(text, &surroundings());
        assert_eq!(
            (tree.as_deref(), &notes[..]),
            (Ok(expected), &[][..]),
            "{text}"
        );
    }
}

#[test]
fn conditions_and_definitions() {
    for (text, expected) in [
        ("<IfModule mod_so.c>\nA\n</IfModule>", "a;"),
        ("<IfModule so_module>\nA\n</IfModule>", "a;"),
        (
            "<IfModule mod_ssl.c>\nA\n<If x>\nB\n</If>\n</IfModule>\nC",
            "c;",
        ),
        ("<IfModule !mod_ssl.c>\nA\n</IfModule>", "a;"),
        (
            "LoadModule ssl_module modules/mod_ssl.so\n<IfModule ssl_module>\n<IfModule mod_ssl.c>\nA\n</IfModule>\n</IfModule>",
            "a;",
        ),
        ("<IfDefine ssl>\nA\n</IfDefine>", "a;"),
        ("<IfDefine !ssl>\nA\n</IfDefine>", ""),
        (
            "Define x 1\n<IfDefine x>\nA ${x}\n</IfDefine>\nUnDefine x\n<IfDefine x>\nB\n</IfDefine>",
            "a 1;",
        ),
        (
            "<IfVersion >= 2.4>\nA\n</IfVersion>\n<IfVersion < 2.4>\nB\n</IfVersion>",
            "a;",
        ),
        (
            "A http://${HOST}:80${EMPTY}/ ${lc:$1} $x %{y}",
            "a http://app.internal:80/ ${lc:$1} $x %{y};",
        ),
        ("Define HOST other\nA ${HOST}", "a other;"),
        (
            "<Macro Site $name $names>\n<VirtualHost *:$names>\nServerName $name.example.com\n</VirtualHost>\n</Macro>\nUse site shop 80\nUse SITE web 81",
            "<virtualhost *:80> servername shop.example.com; </> <virtualhost *:81> servername web.example.com; </>",
        ),
        ("<Macro M>\nA\n</Macro>\nUse M\nUndefMacro m", "a;"),
    ] {
        let (tree, notes) = read(text, &surroundings());
        assert_eq!(
            (tree.as_deref(), &notes[..]),
            (Ok(expected), &[][..]),
            "{text}"
        );
    }
    for (text, expected, note) in [
        (
            "A ${nothing}",
            "a ${nothing};",
            "a.conf:1: ${nothing} is not defined",
        ),
        ("A ${open", "a ${open;", ""),
        ("\nUse none x", "", "a.conf:2: use none x: no such macro"),
        ("Include x.conf", "", "a.conf:1: include x.conf: not read"),
        (
            "<IfVersion ~ x>\nA\n</IfVersion>",
            "a;",
            "a.conf:1: <IfVersion ~ x>: taken as true",
        ),
    ] {
        let (tree, notes) = read(text, &surroundings());
        assert_eq!(tree.as_deref(), Ok(expected), "{text}");
        assert_eq!(notes.concat(), note, "{text}");
    }
}

#[test]
fn what_is_wrong_and_where() {
    let deep = "<A>\n".repeat(MAX_DEPTH + 1);
    for (text, expected) in [
        ("<A>\nB", "a.conf:1: <a> has no </a>"),
        ("\n</A>", "a.conf:2: </a> without its <a>"),
        ("<A>\n</B>", "a.conf:2: </b> ends <a>"),
        (
            "<IfDefine ssl>\n<A>\n</IfDefine>",
            "a.conf:3: </ifdefine> ends <a>",
        ),
        (
            "<IfDefine ssl>\nA",
            "a.conf:2: <ifdefine> has no </ifdefine>",
        ),
        (
            "A\n<IfDefine x>\nA",
            "a.conf:2: <ifdefine> has no </ifdefine>",
        ),
        ("<Macro m>\n", "a.conf:1: <macro> has no </macro>"),
        (
            "<Macro m>\nUse m\n</Macro>\nUse m",
            "a.conf:2: too many includes or macros inside each other",
        ),
        (&deep, "a.conf:65: too many sections inside each other"),
    ] {
        let (tree, _) = read(text, &surroundings());
        assert_eq!(tree.unwrap_err(), expected, "{text}");
    }
}

#[test]
fn includes() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/apache2/sites/b.conf", "B");
    write("etc/apache2/sites/a.conf", "A\nInclude deeper/x.conf");
    write("etc/apache2/deeper/x.conf", "X");
    write("srv/deeper/x.conf", "Y");
    write("srv/loop.conf", "Include loop.conf");
    let files = Files::open(root.path(), Path::new("/")).unwrap();
    let surroundings = surroundings();
    let read = |text: &str| {
        let mut notes = Notes::default();
        let mut reader = Reader::new(&surroundings, Some(&files), &mut notes);
        let tree = reader.file(text, Path::new("/etc/apache2/apache2.conf"), 0);
        let tree = tree
            .map(|tree| shown(&tree))
            .map_err(|error| error.to_string());
        (tree, notes.into_lines().concat())
    };
    for (text, expected, note) in [
        ("Include sites/*.conf\nC", "a; x; b; c;", ""),
        ("Include sites", "a; x; b;", ""),
        (
            "IncludeOptional gone.conf\nIncludeOptional gone/*.conf",
            "",
            "",
        ),
        (
            "Include gone.conf",
            "",
            "/etc/apache2/apache2.conf:1: /etc/apache2/gone.conf: No such file or directory (os error 2)",
        ),
        ("ServerRoot \"/srv\"\nInclude deeper/x.conf", "y;", ""),
        (
            "<IfFile deeper/x.conf>\nA\n</IfFile>\n<IfFile gone>\nB\n</IfFile>",
            "a;",
            "",
        ),
        (
            "<VirtualHost *>\nInclude deeper/*.conf\n</VirtualHost>",
            "<virtualhost *> x; </>",
            "",
        ),
    ] {
        let (tree, notes) = read(text);
        assert_eq!((tree.as_deref(), &*notes), (Ok(expected), note), "{text}");
    }
    let (tree, _) = read("ServerRoot /srv\nInclude loop.conf");
    assert_eq!(
        tree.unwrap_err(),
        "/srv/loop.conf:1: too many includes or macros inside each other"
    );
}
