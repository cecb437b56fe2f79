use proptest::prelude::*;

use super::*;

fn key(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn contents(buffer: &WriteBuffer) -> String {
    let show = |(key, write): (&Bytes, &Write)| {
        let value =
            write.value.as_ref().map_or("-".to_owned(), |value| String::from_utf8_lossy(value).into_owned());
        let presumption = if write.presumption == Presumption::NotExists { "!" } else { "" };
        format!("{}={value}{presumption}", String::from_utf8_lossy(key))
    };
    buffer.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// Runs a script: `put k v`, `insert k v`, `delete k`, `stage`, `release`, `back`, `checked k`; returns the contents.
fn run(script: &str) -> String {
    let mut buffer = WriteBuffer::new();
    let mut stages = Vec::new();
    for step in script.split(';').map(str::trim) {
        match step.split(' ').collect::<Vec<_>>()[..] {
            ["put", k, v] => buffer.put(key(k), key(v), Locking::WithStatement),
            ["insert", k, v] => buffer.insert(key(k), key(v), Locking::WithStatement),
            ["delete", k] => buffer.delete(key(k), Locking::WithStatement),
            ["checked", k] => buffer.presumption_checked(k.as_bytes()),
            ["stage"] => stages.push(buffer.stage()),
            ["release"] => buffer.release(stages.pop().unwrap()),
            ["back"] => buffer.rollback_to(stages.pop().unwrap()),
            _ => panic!("{step}"),
        }
    }
    contents(&buffer)
}

#[test]
fn stages_and_presumptions() {
    let cases = [
        ("put a 1; put b 2; put a 3", "a=3 b=2"),
        ("put a 1; stage; put a 2; put b 1; back", "a=1"),
        ("stage; put a 1; stage; put a 2; release; back", ""),
        ("stage; put a 1; stage; put a 2; put a 3; back; release", "a=1"),
        ("stage; put a 1; stage; put a 2; release; put a 3; back", ""),
        ("put a 0; stage; stage; put a 1; release; put a 2; back; put b 1", "a=0 b=1"),
        // An insert stays one whatever the transaction does to the key afterwards.
        ("insert a 1", "a=1!"),
        ("insert a 1; put a 2", "a=2!"),
        ("insert a 1; delete a", "a=-!"),
        ("insert a 1; delete a; insert a 2", "a=2!"),
        // Deleted by ourselves, so it may be inserted; nothing is known of the time before.
        ("delete a; insert a 1", "a=1"),
        ("insert a 1; checked a; put a 2", "a=2"),
    ];
    for (script, expected) in cases {
        assert_eq!(run(script), expected, "{script}");
    }
}

#[test]
fn a_stage_rolled_back_over_is_closed() {
    let mut buffer = WriteBuffer::new();
    let outer = buffer.stage();
    let inner = buffer.stage();
    buffer.put(key("a"), key("1"), Locking::AtCommit);
    assert_eq!(buffer.written_since(inner), [key("a")]);
    buffer.rollback_to(outer);
    assert!(!buffer.is_open(inner));
    let reopened = buffer.stage();
    buffer.put(key("b"), key("1"), Locking::AtCommit);
    buffer.rollback_to(inner);
    assert_eq!(contents(&buffer), "b=1", "the handle of a closed stage does nothing");
    buffer.release(reopened);
    assert_eq!(buffer.bytes(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Stage,
    Release,
    Back,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0u8..8).prop_map(Step::Delete),
        2 => Just(Step::Stage),
        1 => Just(Step::Release),
        2 => Just(Step::Back),
    ]
}

proptest! {
    /// The model of a stage is a copy of the whole map.
    #[test]
    fn behaves_like_a_stack_of_maps(steps in proptest::collection::vec(step(), 1..80), from in 0u8..8, to in 0u8..9) {
        let mut buffer = WriteBuffer::new();
        let mut model: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let mut stages = Vec::new();
        for step in steps {
            match step {
                Step::Put(k, v) => {
                    buffer.put(Bytes::from(vec![k]), Bytes::from(vec![v; v as usize % 5]), Locking::WithStatement);
                    model.insert(vec![k], Some(vec![v; v as usize % 5]));
                }
                Step::Delete(k) => {
                    buffer.delete(Bytes::from(vec![k]), Locking::WithStatement);
                    model.insert(vec![k], None);
                }
                Step::Stage => stages.push((buffer.stage(), model.clone())),
                Step::Release => if let Some((stage, _)) = stages.pop() { buffer.release(stage) },
                Step::Back => if let Some((stage, before)) = stages.pop() {
                    buffer.rollback_to(stage);
                    model = before;
                },
            }
            if let Some((stage, before)) = stages.last() {
                let written = buffer.written_since(*stage);
                for (key, value) in &model {
                    prop_assert!(before.get(key) == Some(value) || written.contains(&Bytes::from(key.clone())));
                }
            }
        }
        let ours: BTreeMap<_, _> = buffer.iter().map(|(k, w)| (k.to_vec(), w.value.as_ref().map(|v| v.to_vec()))).collect();
        prop_assert_eq!(&ours, &model);
        let bytes: usize = model.iter().map(|(k, v)| k.len() + v.as_ref().map_or(0, Vec::len)).sum();
        prop_assert_eq!(buffer.bytes(), bytes);
        let ranged: Vec<_> = buffer.range_bytes(&[from], &[to]).map(|(k, _)| k.to_vec()).collect();
        let expected: Vec<_> = model.keys().filter(|k| k[0] >= from && k[0] < to).cloned().collect();
        prop_assert_eq!(ranged, expected);
    }
}
