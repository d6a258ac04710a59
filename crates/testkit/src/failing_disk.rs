//! A disk that loses writes: the kernel refuses the flush.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};
use std::collections::BTreeMap;

/// From now on every `fdatasync` of this process and of the programs that it becomes or starts fails
/// with an input/output error. There is no way back. SQLite flushes with no other call.
pub fn fail_every_flush() {
    let error = u32::try_from(libc::EIO).expect("a code");
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_fdatasync, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(error),
        std::env::consts::ARCH.try_into().expect("a known processor"),
    );
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    apply_filter_all_threads(&program).expect("the kernel takes the filter");
}
