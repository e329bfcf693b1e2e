use std::fmt::Write as _;

/// Graph's default for a drive's collections.
pub(crate) const ITEMS: usize = 200;

/// Of a number, wherever it stands.
const DIGITS: usize = 8;

/// The items of a page as Graph sends them in delta, with places for their numbers: no two have the same hash, names, times, or link.
pub(super) struct Sheet {
    text: Vec<u8>,
    items: Vec<Item>,
}

struct Item {
    /// Where its text ends.
    end: usize,
    /// Where its number stands: in the id, the tags, the name and the address.
    numbers: Vec<usize>,
}

impl Sheet {
    pub(super) fn new(rng: &mut fastrand::Rng) -> Self {
        let mut pen = Pen { rng, text: String::new(), numbers: Vec::new() };
        let claims = pen.letters(130);
        let mut items = Vec::new();
        for _ in 0..ITEMS {
            pen.item(&claims);
            items.push(Item { end: pen.text.len(), numbers: std::mem::take(&mut pen.numbers) });
            pen.text.push(',');
        }
        Self { text: pen.text.into_bytes(), items }
    }

    /// Appends as many items as a page has from number `first` on, below `limit`, with commas between them.
    pub(super) fn write(&self, first: u64, limit: u64, out: &mut Vec<u8>) {
        let count = usize::try_from(limit - first).unwrap().min(ITEMS);
        let start = out.len();
        out.extend_from_slice(&self.text[..self.items[count - 1].end]);
        let text = &mut out[start..];
        for (number, item) in (first..).zip(&self.items[..count]) {
            let digits = digits(number);
            for at in &item.numbers {
                text[*at..*at + DIGITS].copy_from_slice(&digits);
            }
        }
    }
}

/// The number of an item, by its id.
pub(crate) fn number(id: &str) -> Option<u64> {
    id.get(id.len().checked_sub(DIGITS)?..)?.parse().ok()
}

fn digits(mut number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap();
        number /= 10;
    }
    assert_eq!(number, 0, "too many items");
    digits
}

struct Pen<'a> {
    rng: &'a mut fastrand::Rng,
    text: String,
    numbers: Vec<usize>,
}

impl Pen<'_> {
    /// A file of a business drive. What Graph leaves out of its delta is left out, as in the emulator's: the `cTag`, a parent's path.
    fn item(&mut self, claims: &str) {
        const KINDS: [(&str, &str); 4] = [
            ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            ("pdf", "application/pdf"),
            ("jpg", "image/jpeg"),
        ];
        const WORDS: [&str; 8] = ["Quarterly", "Report", "Budget", "Draft", "Minutes", "Contract", "Overview", "Notes"];
        let (kind, mime_type) = KINDS[self.rng.usize(..KINDS.len())];
        let name = format!("{} {} ", WORDS[self.rng.usize(..WORDS.len())], WORDS[self.rng.usize(..WORDS.len())]);
        let guid = self.guid();
        let (created, modified) = (self.time(), self.time());
        let site = "https://contoso-my.sharepoint.com/personal/adelev_contoso_com";

        let (signature, letters) = (self.letters(86), self.letters(24).to_uppercase());
        write!(self.text, r#"{{"@microsoft.graph.downloadUrl":"{site}/_layouts/15/download.aspx?UniqueId={guid}"#).unwrap();
        self.number();
        write!(self.text, "&Translate=false&tempauth=v1.{claims}.{signature}&ApiVersion=2.0").unwrap();
        write!(self.text, r#"","createdDateTime":"{created}","eTag":"\"{{{guid}"#).unwrap();
        self.number();
        write!(self.text, r#"}},{}\"","id":"01{letters}"#, self.rng.u8(1..)).unwrap();
        self.number();
        write!(self.text, r#"","lastModifiedDateTime":"{modified}","name":"{name}"#).unwrap();
        self.number();
        write!(self.text, r#".{kind}","webUrl":"{site}/Documents/{}"#, name.replace(' ', "%20")).unwrap();
        self.number();
        write!(self.text, r#".{kind}","size":{},"#, self.rng.u32(1_000..)).unwrap();
        for by in ["createdBy", "lastModifiedBy"] {
            const PEOPLE: [(&str, &str); 3] = [("adelev", "Adele Vance"), ("alexw", "Alex Wilber"), ("meganb", "Megan Bowen")];
            let (mail, person) = PEOPLE[self.rng.usize(..PEOPLE.len())];
            write!(self.text, r#""{by}":{{"user":{{"email":"{mail}@contoso.onmicrosoft.com","#).unwrap();
            write!(self.text, r#""id":"48d31887-5fad-4d73-a9f5-3c356e68a038","displayName":"{person}"}}}},"#).unwrap();
        }
        let parent = self.letters(32).to_uppercase();
        write!(
            self.text,
            r#""parentReference":{{"driveType":"business","driveId":"{}","id":"01{parent}","#,
            super::server::DRIVE
        )
        .unwrap();
        self.text += r#""siteId":"2c712604-1370-44e7-a1f5-426573fda80a"},"#;
        let hash = self.letters(27);
        write!(self.text, r#""file":{{"mimeType":"{mime_type}","hashes":{{"quickXorHash":"{hash}="}}}},"#).unwrap();
        write!(self.text, r#""fileSystemInfo":{{"createdDateTime":"{created}","lastModifiedDateTime":"{modified}"}}}}"#).unwrap();
    }

    fn number(&mut self) {
        self.numbers.push(self.text.len());
        self.text += "00000000";
    }

    fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| self.rng.alphanumeric()).collect()
    }

    /// All of it but the last digits.
    fn guid(&mut self) -> String {
        let bits = self.rng.u128(..);
        let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
        format!("{:08X}-{:04X}-{:04X}-{:04X}-{:04X}", part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(32, 4))
    }

    fn time(&mut self) -> String {
        let (month, day, hour, minute) = (self.rng.u8(1..=12), self.rng.u8(1..=28), self.rng.u8(..24), self.rng.u8(..60));
        format!("20{:02}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", self.rng.u8(12..26), self.rng.u8(..60))
    }
}
