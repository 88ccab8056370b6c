//! Protocol buffers as JSON or YAML, whose names may be written in two ways.

use std::borrow::Cow;

use serde_json::Value;

/// The field `name` (`snake_case`), which may also be written in `camelCase`.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value.get(name).or_else(|| value.get(&*camel(name)));
    found.filter(|found| !found.is_null())
}

/// The value at the end of `path`.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter()
        .try_fold(value, |value, name| field(value, name))
}

/// The text at the end of `path`; an empty one is as good as none.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str().filter(|text| !text.is_empty())
}

/// True if there is `true` at the end of `path`.
pub(super) fn is_true(value: &Value, path: &[&str]) -> bool {
    at(value, path).and_then(Value::as_bool) == Some(true)
}

/// The items of the list at the end of `path`; none where there is no list.
pub(super) fn items<'a>(value: &'a Value, path: &[&str]) -> std::slice::Iter<'a, Value> {
    let list = at(value, path).and_then(Value::as_array);
    list.map_or(&[][..], Vec::as_slice).iter()
}

/// Last part of the name of a message's type: `TcpProxy`.
pub(super) fn kind(value: &Value) -> Option<&str> {
    let name = value.get("@type")?.as_str()?;
    name.rsplit(['.', '/']).next()
}

fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut found = String::with_capacity(name.len());
    let mut upper = false;
    for sign in name.chars() {
        if sign == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            found.push(sign.to_ascii_uppercase());
        } else {
            found.push(sign);
        }
    }
    Cow::Owned(found)
}
