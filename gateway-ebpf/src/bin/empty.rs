//! Programs that do nothing, on the tracepoints of resetmon's own: what the benchmark subtracts,
//! because the kernel asks it for any program at all.
#![no_std]
#![no_main]
#![expect(
    unreachable_pub,
    reason = "the loader finds the programs by their symbols"
)]

mod empty {
    use aya_ebpf::macros::btf_tracepoint;
    use aya_ebpf::programs::BtfTracePointContext;

    /// Beside the program of the same name.
    #[btf_tracepoint(function = "inet_sock_set_state")]
    pub fn socket_state(_: BtfTracePointContext) -> i32 {
        0
    }

    /// Beside the program of the same name.
    #[btf_tracepoint(function = "tcp_rcv_space_adjust")]
    pub fn first_read(_: BtfTracePointContext) -> i32 {
        0
    }

    /// Beside the program of the same name.
    #[btf_tracepoint(function = "tcp_destroy_sock")]
    pub fn socket_destroyed(_: BtfTracePointContext) -> i32 {
        0
    }

    /// Beside the program of the same name.
    #[btf_tracepoint(function = "tcp_send_reset")]
    pub fn reset_sent(_: BtfTracePointContext) -> i32 {
        0
    }

    /// Beside the program of the same name.
    #[btf_tracepoint(function = "tcp_receive_reset")]
    pub fn reset_received(_: BtfTracePointContext) -> i32 {
        0
    }
}

/// Tells the kernel that GPL-only helpers may be used.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
