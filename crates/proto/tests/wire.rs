//! Messages as strangers write them: field numbers and forms of the public protocol.

use prost::Message;
use tidewater_proto::{kvrpcpb, metapb, pdpb, tikvpb, tipb};

#[track_caller]
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, wire: &[u8]) {
    assert_eq!(message.encode_to_vec(), wire, "{message:?}");
    assert_eq!(M::decode(wire).unwrap(), message);
}

#[test]
fn messages_have_their_published_bytes() {
    check(metapb::RegionEpoch { conf_ver: 1, version: 2 }, &[8, 1, 16, 2]);
    check(
        kvrpcpb::LockInfo {
            primary_lock: "p".into(),
            lock_version: 3,
            use_async_commit: true,
            ..Default::default()
        },
        &[0x0a, 1, b'p', 0x10, 3, 0x40, 1],
    );
    check(
        kvrpcpb::PrewriteRequest { try_one_pc: true, max_commit_ts: 5, ..Default::default() },
        &[0x68, 1, 0x70, 5],
    );
    // Packed in proto3.
    check(
        kvrpcpb::PrewriteRequest { pessimistic_actions: vec![1, 2], ..Default::default() },
        &[0x3a, 2, 1, 2],
    );
    check(kvrpcpb::PessimisticLockRequest { wait_timeout: -1, ..Default::default() }, &{
        let mut wire = vec![0x40];
        wire.extend([0xff; 9]);
        wire.push(1);
        wire
    });
    check(pdpb::Timestamp { physical: 1, logical: 2, suffix_bits: 0 }, &[8, 1, 16, 2]);
    // Not packed: the public protocol is proto2 here.
    check(tipb::DagRequest { output_offsets: vec![0, 1], ..Default::default() }, &[0x28, 0, 0x28, 1]);
    check(
        tipb::Executor {
            tp: tipb::ExecType::TypeLimit.into(),
            limit: Some(tipb::Limit { limit: 9 }),
            ..Default::default()
        },
        &[8, 5, 0x3a, 2, 8, 9],
    );
}

#[test]
fn commands_have_their_published_tags() {
    let cases: [(tikvpb::batch_commands_request::request::Cmd, u32); 4] = [
        (tikvpb::batch_commands_request::request::Cmd::Get(Default::default()), 1),
        (tikvpb::batch_commands_request::request::Cmd::Coprocessor(Default::default()), 22),
        (tikvpb::batch_commands_request::request::Cmd::CheckSecondaryLocks(Default::default()), 33),
        (tikvpb::batch_commands_request::request::Cmd::Empty(Default::default()), 255),
    ];
    for (cmd, tag) in cases {
        let wire = tikvpb::batch_commands_request::Request { cmd: Some(cmd) }.encode_to_vec();
        assert_eq!(prost::encoding::decode_varint(&mut &wire[..]).unwrap() >> 3, u64::from(tag));
    }
}

#[test]
fn unknown_fields_are_skipped_and_truncated_messages_refused() {
    // Field 26 of a context is reserved, field 4 of a get does not exist.
    let wire = [0x0a, 5, 0xd2, 1, 1, b'x', 0x08, 0x22, 1, b'y'];
    assert!(kvrpcpb::GetRequest::decode(&wire[..]).is_err(), "the context ends inside a field");
    let wire = [0x12, 1, b'k', 0x22, 1, b'y', 0x18, 7];
    let get = kvrpcpb::GetRequest::decode(&wire[..]).unwrap();
    assert_eq!((&get.key[..], get.version), (&b"k"[..], 7));
    assert!(kvrpcpb::GetRequest::decode(&[0x12, 9, b'k'][..]).is_err());
}
