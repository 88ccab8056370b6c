//! The page as a browser's tokenizer reads it (WHATWG HTML, 13.2.5).

use html5gum::{Token, Tokenizer};

use super::super::tests::full;
use super::page;
use crate::diagnosis::report::Report;

/// Elements that have no end tag (WHATWG HTML, 13.1.2).
const VOID: &[&str] = &["meta"];

/// Elements in their order, and the text of each; panics at whatever a browser would have to mend.
fn read(page: &str) -> Vec<(String, String)> {
    let mut elements: Vec<(String, String)> = Vec::new();
    let mut open: Vec<(String, usize)> = Vec::new();
    for Ok(token) in Tokenizer::new(page) {
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                let svg = open.iter().any(|(name, _)| name == "svg");
                assert!(svg || !tag.self_closing, "<{name}/> outside of SVG");
                elements.push((name.clone(), String::new()));
                if !tag.self_closing && !VOID.contains(&&*name) {
                    open.push((name, elements.len() - 1));
                }
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                let last = open.pop().map(|(name, _)| name);
                assert_eq!(last.as_ref(), Some(&name), "</{name}> closes another");
            }
            Token::String(text) => {
                let text = str::from_utf8(&text).unwrap();
                for (_, element) in &open {
                    elements[*element].1.push_str(text);
                }
            }
            Token::Doctype(doctype) => {
                assert!(elements.is_empty() && doctype.name.as_slice() == b"html");
            }
            Token::Comment(_) => {}
            Token::Error(error) => panic!("{error:?} after {:?}", elements.last()),
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    elements
}

fn texts<'a>(elements: &'a [(String, String)], of: &str) -> Vec<&'a str> {
    let found = elements.iter().filter(|(name, _)| name == of);
    found.map(|(_, text)| text.as_str()).collect()
}

#[test]
fn a_browser_has_nothing_to_mend() {
    let elements = read(&page(&full("payments")));
    for (name, times) in [("html", 1), ("head", 1), ("body", 1), ("h1", 1)] {
        assert_eq!(texts(&elements, name).len(), times, "{name}");
    }
    assert_eq!(texts(&elements, "title")[0], "resetmon report");
    let figures = texts(&elements, "figcaption");
    assert_eq!(figures.len(), texts(&elements, "svg").len());
    assert_eq!(figures.len(), 3, "{figures:?}");
    let findings = texts(&elements, "section");
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("What to do"), "{findings:?}");
    read(&page(&Report::default()));
}

#[test]
fn a_name_is_shown_as_it_is() {
    for name in [
        "<script>alert('1')</script>",
        "</style></title><b onclick=\"x\">",
        "a & b &amp; &lt; &#x3c; \"q\" 'r'",
        "<!-- -->]]><![CDATA[",
    ] {
        let elements = read(&page(&full(name)));
        let title = texts(&elements, "h3");
        assert!(title[0].contains(name), "{name:?} is not in {title:?}");
        assert!(texts(&elements, "script").is_empty() && texts(&elements, "b").is_empty());
    }
}
