//! Who the members are: a record for each, and the changes that may be asked for.

use std::collections::BTreeMap;

use prost::Message;
use tidewater_proto::pdpeerpb::{Join, Member, Remove};

use crate::records;
use crate::storage::Batch;

type Records = BTreeMap<String, Vec<u8>>;

pub(crate) fn member(records: &Records, id: u64) -> Option<Member> {
    records.get(&records::member(id)).and_then(|bytes| Member::decode(&bytes[..]).ok())
}

/// All members, by id.
pub(crate) fn members(records: &Records) -> Vec<Member> {
    let prefix = records::MEMBER_PREFIX;
    let found = records.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    found.filter_map(|(_, bytes)| Member::decode(&bytes[..]).ok()).collect()
}

/// The records of these members; later ones get higher ids.
pub(crate) fn founding(members: &[Member]) -> Batch {
    let next = members.iter().map(|member| member.id).max().unwrap_or(0) + 1;
    let mut batch: Batch = members.iter().map(put).collect();
    batch.push((records::NEXT_MEMBER.to_owned(), Some(records::encode_u64(next))));
    batch
}

fn put(member: &Member) -> (String, Option<Vec<u8>>) {
    (records::member(member.id), Some(member.encode_to_vec()))
}

/// What to write for a newcomer, and its id. One that has asked before and has not run yet gets the same answer.
pub(crate) fn join(records: &Records, join: &Join) -> Result<(u64, Batch), String> {
    if join.name.is_empty() || join.peer_urls.is_empty() {
        return Err("a member needs a name and a peer URL".to_owned());
    }
    let known = members(records);
    if let Some(same) = known.iter().find(|member| member.name == join.name) {
        if same.instance == 0 && same.peer_urls == join.peer_urls {
            return Ok((same.id, Batch::new()));
        }
        return Err(format!(
            "a member named {:?} is in the cluster already, at {}: choose another --name, or remove that member first \
             (DELETE /pd/api/v1/members/name/{})",
            same.name,
            same.peer_urls.join(","),
            same.name
        ));
    }
    let taken = known.iter().find(|member| member.peer_urls.iter().any(|url| join.peer_urls.contains(url)));
    if let Some(other) = taken {
        return Err(format!(
            "the member {:?} is at {} already: choose other --peer-urls, or remove that member first",
            other.name,
            other.peer_urls.join(",")
        ));
    }
    let stored = records.get(records::NEXT_MEMBER);
    let next = stored.and_then(|bytes| records::decode_u64(records::NEXT_MEMBER, bytes).ok());
    let highest = known.iter().map(|member| member.id).max().unwrap_or(0);
    let id = next.unwrap_or(0).max(highest + 1);
    let member = Member {
        id,
        name: join.name.clone(),
        peer_urls: join.peer_urls.clone(),
        client_urls: join.client_urls.clone(),
        instance: 0,
    };
    let next = (records::NEXT_MEMBER.to_owned(), Some(records::encode_u64(id + 1)));
    Ok((id, vec![put(&member), next]))
}

/// What to write for a member that tells where it is.
pub(crate) fn publish(records: &Records, told: &Member) -> Result<Batch, String> {
    let Some(known) = member(records, told.id) else {
        return Err(format!("the member {:?} is not in the cluster", told.name));
    };
    if known.instance != 0 && known.instance != told.instance {
        return Err(format!(
            "the member {:?} has run on another data directory before, and what it had promised there counts: \
             bring that back, or remove the member and start it with an empty --data-dir and --join",
            known.name
        ));
    }
    Ok(if known == *told { Batch::new() } else { vec![put(told)] })
}

/// What to write for the removal of a member, and its id.
pub(crate) fn remove(records: &Records, remove: &Remove) -> Result<(u64, Batch), String> {
    let known = members(records);
    let is_meant = |member: &&Member| match remove.name.is_empty() {
        true => member.id == remove.id,
        false => member.name == remove.name,
    };
    let Some(member) = known.iter().find(is_meant) else {
        let names: Vec<_> = known.iter().map(|member| member.name.as_str()).collect();
        return Err(format!("there is no such member; the members are {}", names.join(", ")));
    };
    if known.len() == 1 {
        return Err("the last member cannot be removed".to_owned());
    }
    Ok((member.id, vec![(records::member(member.id), None)]))
}
