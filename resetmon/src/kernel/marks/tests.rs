use std::mem::offset_of;

use super::*;
use crate::kernel::object::OBJECT;

/// An ELF file with one section of `instructions`, which `flags` describe.
fn object(instructions: &[[u8; 8]], flags: u64) -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[0x28..0x30].copy_from_slice(&64_u64.to_le_bytes());
    elf[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
    elf[0x3c..0x3e].copy_from_slice(&1_u16.to_le_bytes());
    let mut header = [0; 64];
    header[8..16].copy_from_slice(&flags.to_le_bytes());
    header[0x18..0x20].copy_from_slice(&128_u64.to_le_bytes());
    let len = instructions.len() as u64 * 8;
    header[0x20..0x28].copy_from_slice(&len.to_le_bytes());
    elf.extend(header);
    elf.extend(instructions.as_flattened());
    elf
}

fn load(code: u8, offset: i16) -> [u8; 8] {
    let [o0, o1] = offset.to_le_bytes();
    [code, 0x21, o0, o1, 0, 0, 0, 0]
}

fn constant(value: i32) -> [u8; 8] {
    let [i0, i1, i2, i3] = value.to_le_bytes();
    [CONSTANT, 3, 0, 0, i0, i1, i2, i3]
}

fn mark(place: usize, word: i16) -> i16 {
    LOAD_MARK + i16::try_from(place).unwrap() + word
}

const SWITCHES: Switches = Switches {
    has_reason: 1,
    unmarked_null: 2,
    accept_two_args: 3,
    preemptible: 4,
    detail_rate: 2000,
    typed_skb_sk: 6,
    victim_is_task: 7,
    refusals: [u32::MAX; 8],
};

fn layout() -> Layout {
    Layout {
        skc_state: 18,
        skc_v6_daddr: 56,
        task_comm: 2976,
        ..Layout::UNKNOWN
    }
}

#[test]
fn marked_instructions_get_offsets() {
    let place = i32::try_from(offset_of!(Layout, skc_v6_daddr)).unwrap();
    let missing = i32::try_from(offset_of!(Layout, sk_cgroup)).unwrap();
    let end = i32::try_from(size_of::<Layout>()).unwrap();
    let rows = [
        (
            "a byte",
            load(0x71, mark(offset_of!(Layout, skc_state), 0)),
            load(0x71, 18),
        ),
        (
            "the fourth word",
            load(0x61, mark(offset_of!(Layout, skc_v6_daddr), 3)),
            load(0x61, 68),
        ),
        (
            "the second half",
            load(0x79, mark(offset_of!(Layout, task_comm), 2)),
            load(0x79, 2984),
        ),
        (
            "absent",
            load(0x79, mark(offset_of!(Layout, sk_cgroup), 0)),
            [CONSTANT, 1, 0, 0, 0, 0, 0, 0],
        ),
        (
            "just below",
            load(0x79, LOAD_MARK - 1),
            load(0x79, LOAD_MARK - 1),
        ),
        ("negative", load(0x79, -8), load(0x79, -8)),
        (
            "a store",
            load(0x7b, mark(offset_of!(Layout, skc_state), 0)),
            load(0x7b, mark(offset_of!(Layout, skc_state), 0)),
        ),
        ("an offset", constant(OFFSET_MARK + place), constant(56)),
        ("no offset", constant(OFFSET_MARK + missing), constant(-1)),
        (
            "below",
            constant(OFFSET_MARK - 1),
            constant(OFFSET_MARK - 1),
        ),
        (
            "above",
            constant(OFFSET_MARK + end),
            constant(OFFSET_MARK + end),
        ),
        ("a switch", constant(SWITCH_MARK), constant(1)),
        ("a number", constant(SWITCH_MARK + 16), constant(2000)),
        ("the last switch", constant(SWITCH_MARK + 24), constant(7)),
        (
            "no switch",
            constant(SWITCH_MARK + 28),
            constant(SWITCH_MARK + 28),
        ),
        ("least", constant(i32::MIN), constant(i32::MIN)),
    ];
    for (what, from, to) in rows {
        let marked = Marked::new(&object(&[from], EXECUTABLE | 2), &layout(), &SWITCHES).unwrap();
        assert_eq!(marked.bytes(), object(&[to], EXECUTABLE | 2), "{what}");
        // Data is left alone.
        let data = object(&[from], 3);
        assert_eq!(
            Marked::new(&data, &layout(), &SWITCHES).unwrap().bytes(),
            data,
            "{what}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let unknown = load(0x79, mark(size_of::<Layout>(), 0));
    let error = Marked::new(&object(&[unknown], EXECUTABLE), &layout(), &SWITCHES).unwrap_err();
    assert_eq!(error, MarkError::Unknown(Layout::MEMBERS.len()));
    let far = Layout {
        skc_state: 0x8000,
        ..layout()
    };
    let state = load(0x71, mark(offset_of!(Layout, skc_state), 0));
    let error = Marked::new(&object(&[state], EXECUTABLE), &far, &SWITCHES).unwrap_err();
    assert_eq!(error, MarkError::TooFar("sock_common.skc_state", 0x8000));
    let whole = object(&[state], EXECUTABLE);
    for len in 0..whole.len() {
        let cut = Marked::new(&whole[..len], &layout(), &SWITCHES);
        assert!(matches!(cut, Err(MarkError::Damaged(_))), "{len}");
    }
}

#[test]
fn the_programs_are_marked_for_every_member() {
    for (index, (field, _)) in Layout::MEMBERS.iter().enumerate() {
        let mut layout = Layout::UNKNOWN;
        let plain = Marked::new(OBJECT, &layout, &SWITCHES).unwrap();
        layout.set(field, 8);
        let marked = Marked::new(OBJECT, &layout, &SWITCHES).unwrap();
        let used = plain.bytes() != marked.bytes();
        assert!(used || *field == "skc_num", "{field}, number {index}");
        assert_eq!(marked.bytes().len(), OBJECT.len());
        assert_eq!(marked.bytes().as_ptr() as usize % ALIGNMENT, 0);
    }
}
