//! Redis's protocol, as far as a relay needs it: where a frame ends, and what a command says.

/// Frames within frames, at most. Redis nests replies two or three deep.
const DEPTH: u32 = 16;

/// The length of the first frame, once all of it is there.
pub(crate) fn frame(bytes: &[u8]) -> Option<usize> {
    frame_at(bytes, DEPTH)
}

/// The words of a command, which clients send as an array of bulk strings.
pub(crate) fn words(frame: &[u8]) -> Vec<&[u8]> {
    let Some((_, mut rest)) = line(frame) else { return Vec::new() };
    let mut words = Vec::new();
    while let Some((head, after)) = line(rest) {
        let length = number(head).and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let (Some(word), Some(next)) = (after.get(..length), after.get(length + 2..)) else { break };
        words.push(word);
        rest = next;
    }
    words
}

fn frame_at(bytes: &[u8], depth: u32) -> Option<usize> {
    assert!(depth > 0, "a frame of Redis nested {DEPTH} deep");
    let (head, _) = line(bytes)?;
    let own = head.len() + 2;
    let count = || number(head).unwrap_or_default();
    let nested = match head.first()? {
        b'$' | b'=' | b'!' => {
            // -1 is no string, and has no body.
            let body = usize::try_from(count()).map_or(0, |length| length + 2);
            return (bytes.len() >= own + body).then_some(own + body);
        }
        b'*' | b'~' | b'>' => count(),
        b'%' | b'|' => count() * 2,
        _ => 0,
    };
    (0..nested).try_fold(own, |at, _| Some(at + frame_at(bytes.get(at..)?, depth - 1)?))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((bytes.get(..end)?, bytes.get(end + 2..)?))
}

fn number(head: &[u8]) -> Option<i64> {
    std::str::from_utf8(head.get(1..)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{frame, words};

    #[test]
    fn a_frame_ends_where_redis_ends_it_and_not_before() {
        for whole in [
            "+OK\r\n",
            ":12\r\n",
            "-ERR no\r\n",
            "$5\r\na\r\nbc\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            "%1\r\n+a\r\n:1\r\n",
            "_\r\n",
        ] {
            let more = format!("{whole}:7\r\n");
            assert_eq!(frame(more.as_bytes()), Some(whole.len()), "{whole:?}");
            for cut in 0..whole.len() {
                assert_eq!(frame(&whole.as_bytes()[..cut]), None, "{:?}", &whole[..cut]);
            }
        }
    }

    #[test]
    fn a_command_is_its_words() {
        let command = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$4\r\n\r\n{}\r\n";
        assert_eq!(words(command), [&b"PUBLISH"[..], b"c", b"\r\n{}"]);
    }
}
