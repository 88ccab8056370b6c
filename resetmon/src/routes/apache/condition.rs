//! Apache httpd's `<IfVersion>`.

use std::cmp::Ordering;

/// A version: major, minor, patch.
pub type Version = (u32, u32, u32);

/// Whether `text`, as `>= 2.4`, holds for `version`; `None` if that cannot be said.
///
/// A version that is not known is taken for the newest.
pub(super) fn version(text: &str, version: Option<Version>) -> Option<bool> {
    let (wanted, text) = match text.strip_prefix('!') {
        Some(text) => (false, text),
        None => (true, text),
    };
    let text = text.trim();
    let digits = text.find(|letter: char| letter.is_ascii_digit())?;
    let (sign, number) = text.split_at(digits);
    let version = version.unwrap_or((u32::MAX, 0, 0));
    let order = version.cmp(&parse(number)?);
    let holds = match sign.trim() {
        "" | "=" | "==" => order == Ordering::Equal,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        _ => return None,
    };
    Some(holds == wanted)
}

/// `2`, `2.4`, `2.4.57`; what is left out is 0.
pub(super) fn parse(text: &str) -> Option<Version> {
    let mut parts = text.trim().split('.').map(|part| part.parse::<u32>().ok());
    let first = parts.next()??;
    let second = parts.next().unwrap_or(Some(0))?;
    let third = parts.next().unwrap_or(Some(0))?;
    parts.next().is_none().then_some((first, second, third))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let here = Some((2, 4, 57));
        for (text, expected) in [
            (">= 2.4", Some(true)),
            (">=2.4.57", Some(true)),
            ("> 2.4.57", Some(false)),
            ("< 2.4", Some(false)),
            ("<= 2.4.57", Some(true)),
            ("2.4.57", Some(true)),
            ("2.4", Some(false)),
            ("= 2.4.57", Some(true)),
            ("!>= 2.4", Some(false)),
            ("! < 2.4", Some(true)),
            ("~ ^2.4", None),
            ("/^2\\.4/", None),
            (">= 2.4.x", None),
            (">= 2.4.57.1", None),
            ("", None),
        ] {
            assert_eq!(version(text, here), expected, "{text}");
        }
        assert_eq!(version(">= 2.4", None), Some(true));
        assert_eq!(version("< 2.4", None), Some(false));
    }
}
