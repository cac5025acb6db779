//! A Helm repository's `index.yaml`: which versions of which charts there are, and where. Real ones have tens of megabytes, nearly all
//! of it of no use here: they are read as a stream, and only what is needed stays.

use std::collections::HashMap;
use std::io::Read;

use granit_parser::{Event, Parser, options};
use url::Url;

use super::version::Range;

/// Nested levels of an index, at most.
const MAX_DEPTH: usize = 64;
/// What stays of an index, in bytes.
const MAX_KEPT: usize = 16 << 20;

/// The charts of a repository.
#[derive(Debug, Default)]
pub struct Index {
    charts: HashMap<Box<str>, Vec<Listed>>,
    size: usize,
}

/// One version of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub version: String,
    /// The first of its URLs, which is the one that counts; relative to the repository's, or absolute.
    pub url: Option<String>,
    /// SHA-256 of the archive in hexadecimal digits, where it is given.
    pub digest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("its index.yaml can't be read: {0}")]
    Syntax(String),
    #[error("its index.yaml is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("its index.yaml lists more than fits into {MAX_KEPT} bytes")]
    Size,
    #[error("its index.yaml has no apiVersion, so it is none of a Helm repository")]
    ApiVersion,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    #[error("its index.yaml lists no chart {0:?}")]
    Chart(String),
    #[error("{0:?} is neither a version nor a range of versions")]
    Target(String),
    #[error("its index.yaml lists no version of chart {chart:?} that {target:?} allows")]
    Version { chart: String, target: String },
}

impl Index {
    /// Reads the charts that are wanted from the first document of a stream of UTF-8.
    pub fn read(stream: impl Read, wanted: impl Fn(&str) -> bool) -> Result<Self, IndexError> {
        let options = options! { emit_comments: false };
        let events = Parser::new_from_iter_with_options(Characters::new(stream), options);
        let mut reader = Reader {
            events,
            depth: 0,
            kept: 0,
            wanted,
        };
        let mut index = reader.index()?;
        index.size = reader.kept;
        Ok(index)
    }

    /// About how many bytes it takes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The version that a target revision means, as Helm chooses it: the very text first, then the newest of the range; empty is
    /// the newest that is no pre-release.
    pub fn pick(&self, chart: &str, target: &str) -> Result<&Listed, PickError> {
        let short = |text: &str| text.chars().take(200).collect::<String>();
        let versions = self
            .charts
            .get(chart)
            .ok_or_else(|| PickError::Chart(short(chart)))?;
        let range = match target {
            "" => Some(Range::any()),
            target => Range::parse(target),
        };
        let range = range.ok_or_else(|| PickError::Target(short(target)))?;
        let named = |version: &str| versions.iter().find(|listed| listed.version == version);
        named(target)
            .filter(|_| !target.is_empty())
            .or_else(|| {
                let all = versions.iter().map(|listed| listed.version.as_str());
                named(range.newest(all)?)
            })
            .ok_or_else(|| PickError::Version {
                chart: short(chart),
                target: short(target),
            })
    }
}

/// Where a chart's archive is.
pub fn resolve(repository: &Url, reference: &str) -> Option<Url> {
    // As Go, which takes anything with a scheme for absolute.
    if let Ok(absolute) = Url::parse(reference) {
        return Some(absolute);
    }
    let mut base = repository.clone();
    base.set_path(&format!("{}/", repository.path().trim_end_matches('/')));
    let mut resolved = base.join(reference).ok()?;
    resolved.set_query(repository.query());
    Some(resolved)
}

/// Where a repository's index is.
pub fn address(repository: &Url) -> Url {
    let mut index = repository.clone();
    index.set_path(&format!(
        "{}/index.yaml",
        repository.path().trim_end_matches('/')
    ));
    index
}

struct Reader<I: Iterator<Item = char>, W> {
    events: Parser<'static, granit_parser::BufferedInput<I>>,
    depth: usize,
    kept: usize,
    /// Which charts stay.
    wanted: W,
}

impl<I: Iterator<Item = char>, W: Fn(&str) -> bool> Reader<I, W> {
    fn index(&mut self) -> Result<Index, IndexError> {
        let mut index = Index::default();
        let mut versioned = false;
        loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::MappingStart(..) => break,
                _ => return Err(IndexError::ApiVersion),
            }
        }
        while let Some(key) = self.key()? {
            match key.as_str() {
                "apiVersion" => versioned = self.text()?.is_some_and(|text| !text.is_empty()),
                "entries" => self.entries(&mut index)?,
                _ => self.skip()?,
            }
        }
        if versioned {
            Ok(index)
        } else {
            Err(IndexError::ApiVersion)
        }
    }

    fn entries(&mut self, index: &mut Index) -> Result<(), IndexError> {
        match self.next()? {
            Event::MappingStart(..) => {}
            other => return self.skipped(&other),
        }
        while let Some(chart) = self.key()? {
            if !(self.wanted)(&chart) {
                self.skip()?;
                continue;
            }
            let mut versions = Vec::new();
            match self.next()? {
                Event::SequenceStart(..) => loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        Event::MappingStart(..) => versions.extend(self.listed()?),
                        other => self.skipped(&other)?,
                    }
                },
                other => self.skipped(&other)?,
            }
            self.keep(chart.len())?;
            index.charts.insert(chart.into(), versions);
        }
        Ok(())
    }

    /// One version; none if it doesn't say which.
    fn listed(&mut self) -> Result<Option<Listed>, IndexError> {
        let mut listed = Listed::default();
        while let Some(key) = self.key()? {
            match key.as_str() {
                "version" => listed.version = self.text()?.unwrap_or_default(),
                "digest" => listed.digest = self.text()?.filter(|digest| !digest.is_empty()),
                "urls" => listed.url = self.first()?,
                _ => self.skip()?,
            }
        }
        let texts = [
            listed.url.as_ref(),
            listed.digest.as_ref(),
            Some(&listed.version),
        ];
        let length: usize = texts.into_iter().flatten().map(String::len).sum();
        self.keep(length + size_of::<Listed>())?;
        Ok((!listed.version.is_empty()).then_some(listed))
    }

    /// The first text of a list.
    fn first(&mut self) -> Result<Option<String>, IndexError> {
        match self.next()? {
            Event::SequenceStart(..) => {}
            other => {
                self.skipped(&other)?;
                return Ok(None);
            }
        }
        let mut first = None;
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(first),
                Event::Scalar(text, ..) if first.is_none() => first = Some(text.into_owned()),
                other => self.skipped(&other)?,
            }
        }
    }

    fn key(&mut self) -> Result<Option<String>, IndexError> {
        loop {
            match self.next()? {
                Event::MappingEnd => return Ok(None),
                Event::Scalar(key, ..) => return Ok(Some(key.into_owned())),
                // A key that is no text, with its value.
                other => {
                    self.skipped(&other)?;
                    self.skip()?;
                }
            }
        }
    }

    fn text(&mut self) -> Result<Option<String>, IndexError> {
        match self.next()? {
            Event::Scalar(text, ..) => Ok(Some(text.into_owned())),
            other => self.skipped(&other).map(|()| None),
        }
    }

    fn skip(&mut self) -> Result<(), IndexError> {
        let first = self.next()?;
        self.skipped(&first)
    }

    /// Goes past the value that began with an event.
    fn skipped(&mut self, first: &Event<'_>) -> Result<(), IndexError> {
        if !matches!(first, Event::SequenceStart(..) | Event::MappingStart(..)) {
            return Ok(());
        }
        let inside = self.depth;
        while self.depth >= inside {
            self.next()?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Event<'static>, IndexError> {
        let event = match self.events.next_event() {
            Some(Ok((event, _))) => event,
            Some(Err(error)) => {
                let said: String = error.to_string().chars().take(200).collect();
                return Err(IndexError::Syntax(said));
            }
            None => return Err(IndexError::Syntax("it ends too early".to_owned())),
        };
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => self.depth += 1,
            Event::SequenceEnd | Event::MappingEnd => self.depth = self.depth.saturating_sub(1),
            Event::StreamEnd => return Err(IndexError::ApiVersion),
            _ => {}
        }
        if self.depth > MAX_DEPTH {
            return Err(IndexError::Depth);
        }
        Ok(event)
    }

    fn keep(&mut self, length: usize) -> Result<(), IndexError> {
        self.kept += length;
        if self.kept > MAX_KEPT {
            Err(IndexError::Size)
        } else {
            Ok(())
        }
    }
}

/// A stream's characters. What is no UTF-8 becomes a mark that is none; a stream that fails ends.
struct Characters<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Decoded, and how much of it was given.
    text: String,
    at: usize,
    ended: bool,
}

impl<R: Read> Characters<R> {
    const PIECE: usize = 64 << 10;

    fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            text: String::new(),
            at: 0,
            ended: false,
        }
    }

    fn refill(&mut self) {
        self.text.clear();
        self.at = 0;
        let piece = (&mut self.stream)
            .take(Self::PIECE as u64)
            .read_to_end(&mut self.buffer);
        self.ended = !matches!(piece, Ok(1..));
        // A character may be cut at the end: the rest comes with the next piece.
        let whole = match std::str::from_utf8(&self.buffer) {
            Err(error) if error.error_len().is_none() && !self.ended => error.valid_up_to(),
            _ => self.buffer.len(),
        };
        self.text
            .push_str(&String::from_utf8_lossy(&self.buffer[..whole]));
        self.buffer.drain(..whole);
    }
}

impl<R: Read> Iterator for Characters<R> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        while self.at >= self.text.len() {
            if self.ended {
                return None;
            }
            self.refill();
        }
        let symbol = self.text[self.at..].chars().next()?;
        self.at += symbol.len_utf8();
        Some(symbol)
    }
}

#[cfg(test)]
#[path = "helm_index_tests.rs"]
mod tests;
