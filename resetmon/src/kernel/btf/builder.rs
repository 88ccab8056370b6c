//! BTF made by hand, for the tests.

/// Kinds by their numbers in the format.
pub(crate) mod kind {
    pub(crate) const INT: u32 = 1;
    pub(crate) const PTR: u32 = 2;
    pub(crate) const ARRAY: u32 = 3;
    pub(crate) const STRUCT: u32 = 4;
    pub(crate) const UNION: u32 = 5;
    pub(crate) const ENUM: u32 = 6;
    pub(crate) const FWD: u32 = 7;
    pub(crate) const TYPEDEF: u32 = 8;
    pub(crate) const VOLATILE: u32 = 9;
    pub(crate) const CONST: u32 = 10;
    pub(crate) const RESTRICT: u32 = 11;
    pub(crate) const FUNC: u32 = 12;
    pub(crate) const FUNC_PROTO: u32 = 13;
    pub(crate) const VAR: u32 = 14;
    pub(crate) const DATASEC: u32 = 15;
    pub(crate) const FLOAT: u32 = 16;
    pub(crate) const DECL_TAG: u32 = 17;
    pub(crate) const TYPE_TAG: u32 = 18;
    pub(crate) const ENUM64: u32 = 19;
}

/// Writes types one after the other.
#[derive(Default)]
pub(crate) struct Builder {
    types: Vec<u32>,
    strings: Vec<u8>,
    count: u32,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            strings: vec![0],
            ..Self::default()
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        offset
    }

    /// Adds a type: the words of `struct btf_type` and those after it; returns its id.
    pub(crate) fn raw(&mut self, name: &str, info: u32, size_or_type: u32, extra: &[u32]) -> u32 {
        let name = self.string(name);
        self.types.extend_from_slice(&[name, info, size_or_type]);
        self.types.extend_from_slice(extra);
        self.count += 1;
        self.count
    }

    /// A type of a kind without anything after it.
    pub(crate) fn plain(&mut self, kind: u32, name: &str, size_or_type: u32) -> u32 {
        self.raw(name, kind << 24, size_or_type, &[])
    }

    /// An integer of whole bytes.
    pub(crate) fn int(&mut self, name: &str, bytes: u32) -> u32 {
        self.raw(name, kind::INT << 24, bytes, &[bytes * 8])
    }

    /// A struct or union of `(name, type, bit offset)`.
    pub(crate) fn composite(
        &mut self,
        kind: u32,
        name: &str,
        bytes: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        self.flagged(kind, false, name, bytes, members)
    }

    /// As [`Builder::composite`], with `kind_flag`: the third word holds `width << 24 | offset`.
    pub(crate) fn flagged(
        &mut self,
        kind: u32,
        flag: bool,
        name: &str,
        bytes: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let mut extra = Vec::new();
        for (member, id, place) in members {
            extra.extend_from_slice(&[self.string(member), *id, *place]);
        }
        let count = u32::try_from(members.len()).unwrap();
        self.raw(
            name,
            u32::from(flag) << 31 | kind << 24 | count,
            bytes,
            &extra,
        )
    }

    /// An enum of 32 bits.
    pub(crate) fn enumeration(&mut self, signed: bool, name: &str, values: &[(&str, u32)]) -> u32 {
        let mut extra = Vec::new();
        for (enumerator, value) in values {
            extra.extend_from_slice(&[self.string(enumerator), *value]);
        }
        let count = u32::try_from(values.len()).unwrap();
        self.raw(
            name,
            u32::from(signed) << 31 | kind::ENUM << 24 | count,
            4,
            &extra,
        )
    }

    /// A prototype of `(name, type)`.
    pub(crate) fn prototype(&mut self, params: &[(&str, u32)]) -> u32 {
        let mut extra = Vec::new();
        for (param, id) in params {
            extra.extend_from_slice(&[self.string(param), *id]);
        }
        let count = u32::try_from(params.len()).unwrap();
        self.raw("", kind::FUNC_PROTO << 24 | count, 0, &extra)
    }

    /// The tracepoint `name` of these arguments: what `TRACE_EVENT` leaves in a kernel's BTF.
    pub(crate) fn tracepoint(&mut self, name: &str, args: &[(&str, u32)]) {
        let unnamed: Vec<_> = std::iter::once(("", 0))
            .chain(args.iter().map(|(_, id)| ("", *id)))
            .collect();
        let prototype = self.prototype(&unnamed);
        let pointer = self.plain(kind::PTR, "", prototype);
        self.plain(kind::TYPEDEF, &format!("btf_trace_{name}"), pointer);
    }

    /// The function `name` of these arguments.
    pub(crate) fn function(&mut self, name: &str, args: &[(&str, u32)]) {
        let prototype = self.prototype(args);
        self.plain(kind::FUNC, name, prototype);
    }

    /// The bytes of a `.BTF` section.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.finish_with_layout(&[])
    }

    /// As [`Builder::finish`], with a layout section of `(bytes after the type, bytes per element)`.
    pub(crate) fn finish_with_layout(self, layout: &[(u8, u8)]) -> Vec<u8> {
        let types: Vec<u8> = self
            .types
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let layout: Vec<u8> = layout
            .iter()
            .flat_map(|(fixed, element)| [*fixed, *element, 0, 0])
            .collect();
        let [types_length, strings_length, layout_length] =
            [&types, &self.strings, &layout].map(|part| u32::try_from(part.len()).unwrap());
        let mut header = vec![0, types_length, types_length, strings_length];
        if !layout.is_empty() {
            header.extend_from_slice(&[types_length + strings_length, layout_length]);
        }
        let mut data = 0xeb9f_u16.to_ne_bytes().to_vec();
        data.extend_from_slice(&[1, 0]);
        data.extend_from_slice(&(8 + 4 * u32::try_from(header.len()).unwrap()).to_ne_bytes());
        data.extend(header.iter().flat_map(|word| word.to_ne_bytes()));
        data.extend(types);
        data.extend(self.strings);
        data.extend(layout);
        data
    }
}
