//! The names that the papers give to defenses with their settings: `N/A[R]`, `ACT[R]`, `HM[S,gLGA]&ICS(lambda=0.05)`.
//!
//! ```text
//! N/A[miner]  EST[miner]  REST[miner]  SES[miner]  ACT[miner]  AMD[miner]
//! HM[miner,destination](u=…,xi=…)&ICS(lambda=…,gamma=…)
//! CA-TRIDE(lambda=…)
//! ```
//!
//! A miner is R, M, S, D or H; a destination is a miner, a hardness, `gLGA`, `g2`, `g1/2` or `gB(miner)`. What stands in
//! parentheses is optional, and printed where it is not the default. [`parse`] reads what the other functions write.
//! Greek letters may be written as such, and blanks between the parts do not matter.

use std::fmt::Write;

use super::DEFENSES;
use super::attacked_triplet::AttackedTripletConfig;
use super::ca_tride::CaTrideConfig;
use super::config::DefenseConfig;
use super::embedding_shift::EmbeddingShiftConfig;
use super::gradual_adversary::{Boosted, DEFAULT_U, Gradual, Shape};
use super::hardness_manipulation::{Destination, HardnessManipulationConfig};
use super::intra_class_structure::IntraClassStructure;
use super::vanilla::VanillaConfig;
use crate::error::{Error, Result};
use crate::miner::Hardness;
use crate::triplet::MARGIN;

/// The keys that a notation decides, of whatever defense.
pub const DECIDES: [&str; 4] = ["source", "destination", "intra_class_structure", "far_mean"];

/// The name of a defense that has no other setting than its miner: `ACT[R]`.
#[must_use]
pub fn mined(family: &str, source: Hardness) -> String {
    format!("{family}[{}]", source.letter())
}

/// The name of hardness manipulation with these settings.
#[must_use]
pub fn hardness_manipulation(config: &HardnessManipulationConfig) -> String {
    let (destination, u, xi) = match config.destination {
        Destination::Mined(miner) => (miner.letter().to_string(), DEFAULT_U, Boosted::DEFAULT_XI),
        Destination::Constant(hardness) => (hardness.to_string(), DEFAULT_U, Boosted::DEFAULT_XI),
        Destination::Gradual(Gradual { shape, u }) => (symbol(shape).to_owned(), u, Boosted::DEFAULT_XI),
        Destination::Boosted(Boosted { mined, xi, u }) => (format!("gB({})", mined.letter()), u, xi),
    };
    let mut name = format!("HM[{},{destination}]", config.source.letter());
    name += &parameters(&[("u", u, DEFAULT_U), ("xi", xi, Boosted::DEFAULT_XI)]);
    if let Some(IntraClassStructure { weight, margin }) = config.intra_class_structure {
        let default = IntraClassStructure::default();
        name += "&ICS";
        name += &parameters(&[("lambda", weight, default.weight), ("gamma", margin, default.margin)]);
    }
    name
}

/// The name of CA-TRIDE with these settings.
#[must_use]
pub fn ca_tride(config: &CaTrideConfig) -> String {
    let default = CaTrideConfig::default().far_mean.temperature;
    format!("CA-TRIDE{}", parameters(&[("lambda", config.far_mean.temperature, default)]))
}

fn symbol(shape: Shape) -> &'static str {
    match shape {
        Shape::Linear => "gLGA",
        Shape::Square => "g2",
        Shape::SquareRoot => "g1/2",
    }
}

/// Those of the parameters (name, value, default) that are not their default: `(u=2.2)`, or nothing.
fn parameters(parameters: &[(&str, f64, f64)]) -> String {
    let mut written = String::new();
    for (name, value, _) in parameters.iter().filter(|(_, value, default)| value != default) {
        let separator = if written.is_empty() { '(' } else { ',' };
        write!(written, "{separator}{name}={value}").expect("writing to a String cannot fail. This is a bug.");
    }
    if !written.is_empty() {
        written.push(')');
    }
    written
}

/// The defense that a notation names, with default values for everything that it does not say.
///
/// # Errors
/// [`Error::Notation`], which says what cannot be read and how a notation is written.
pub fn parse(text: &str) -> Result<DefenseConfig> {
    let spelt: String = text.chars().filter(|letter| !letter.is_whitespace()).map(spell).collect();
    read(&spelt).map_err(|reason| unreadable(text, reason))
}

/// The error of a notation that cannot be read for this reason.
pub(super) fn unreadable(text: &str, reason: String) -> Error {
    let names: Vec<&str> = DEFENSES.iter().map(|entry| entry.name).collect();
    Error::Notation { text: text.to_owned(), reason, names: names.join(", ") }
}

fn spell(letter: char) -> String {
    match letter {
        'λ' => "lambda".to_owned(),
        'γ' => "gamma".to_owned(),
        'ξ' => "xi".to_owned(),
        '½' => "1/2".to_owned(),
        '−' => "-".to_owned(),
        other => other.to_string(),
    }
}

type Read<T> = std::result::Result<T, String>;

fn read(text: &str) -> Read<DefenseConfig> {
    let (term, structure) = match text.split_once('&') {
        Some((term, structure)) => (Term::read(term)?, Some(Term::read(structure)?)),
        None => (Term::read(text)?, None),
    };
    if structure.is_some() && term.name != "HM" {
        return Err(format!("{} cannot be combined with another term; only HM can, with ICS", term.name));
    }
    Ok(match term.name {
        "N/A" => DefenseConfig::Vanilla(VanillaConfig { source: term.miner()? }),
        "EST" => DefenseConfig::Est(EmbeddingShiftConfig { source: term.miner()?, ..Default::default() }),
        "REST" => DefenseConfig::Rest(AttackedTripletConfig { source: term.miner()?, ..Default::default() }),
        "SES" => DefenseConfig::Ses(EmbeddingShiftConfig { source: term.miner()?, ..Default::default() }),
        "ACT" => DefenseConfig::Act(AttackedTripletConfig { source: term.miner()?, ..Default::default() }),
        "AMD" => DefenseConfig::Amd(AttackedTripletConfig { source: term.miner()?, ..Default::default() }),
        "HM" => {
            let intra_class_structure = structure.as_ref().map(Term::intra_class_structure).transpose()?;
            let (source, destination) = term.source_and_destination()?;
            DefenseConfig::HardnessManipulation(HardnessManipulationConfig {
                source,
                destination,
                intra_class_structure,
                ..Default::default()
            })
        }
        "CA-TRIDE" => {
            term.expect_items(0)?;
            let mut config = CaTrideConfig::default();
            term.set(&mut [("lambda", &mut config.far_mean.temperature)])?;
            DefenseConfig::CaTride(config)
        }
        other => return Err(format!("no defense is called \"{other}\"")),
    })
}

/// `NAME[item,item](key=number,key=number)`, of which all but the name may be missing.
struct Term<'a> {
    name: &'a str,
    items: Vec<&'a str>,
    parameters: Vec<(&'a str, f64)>,
}

impl<'a> Term<'a> {
    fn read(text: &'a str) -> Read<Self> {
        let (name, rest) = text.split_at(text.find(['[', '(']).unwrap_or(text.len()));
        let (items, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("a bracket is not closed")?,
            None => ("", rest),
        };
        let parameters = match rest.strip_prefix('(') {
            Some(rest) => rest.strip_suffix(')').ok_or("the parameters do not end with a parenthesis")?,
            None if rest.is_empty() => "",
            None => return Err(format!("\"{rest}\" stands where only parameters such as (u=2.2) may")),
        };
        Ok(Self {
            name,
            items: items.split(',').filter(|item| !item.is_empty()).collect(),
            parameters: parameters.split(',').filter(|pair| !pair.is_empty()).map(parameter).collect::<Read<_>>()?,
        })
    }

    fn expect_items(&self, count: usize) -> Read<()> {
        let Self { name, items, .. } = self;
        match items.len() == count {
            true => Ok(()),
            false => Err(format!("{name} has {count} value(s) in brackets, got {}", items.len())),
        }
    }

    /// Puts the parameters where their names say, and refuses others.
    fn set(&self, known: &mut [(&str, &mut f64)]) -> Read<()> {
        for (name, value) in &self.parameters {
            let Some((_, place)) = known.iter_mut().find(|(known, _)| known == name) else {
                let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
                return Err(format!("{} has no parameter \"{name}\" here; known: {known}", self.name));
            };
            **place = *value;
        }
        Ok(())
    }

    /// The miner of a defense that has no other setting.
    fn miner(&self) -> Read<Hardness> {
        self.expect_items(1)?;
        self.set(&mut [])?;
        miner(self.items[0])
    }

    fn source_and_destination(&self) -> Read<(Hardness, Destination)> {
        self.expect_items(2)?;
        let mut destination = destination(self.items[1])?;
        match &mut destination {
            Destination::Mined(_) | Destination::Constant(_) => self.set(&mut [])?,
            Destination::Gradual(Gradual { u, .. }) => self.set(&mut [("u", u)])?,
            Destination::Boosted(Boosted { xi, u, .. }) => self.set(&mut [("u", u), ("xi", xi)])?,
        }
        Ok((miner(self.items[0])?, destination))
    }

    fn intra_class_structure(&self) -> Read<IntraClassStructure> {
        if self.name != "ICS" {
            return Err(format!("\"{}\" cannot follow &; only ICS can", self.name));
        }
        self.expect_items(0)?;
        let mut structure = IntraClassStructure::default();
        self.set(&mut [("lambda", &mut structure.weight), ("gamma", &mut structure.margin)])?;
        Ok(structure)
    }
}

fn parameter(pair: &str) -> Read<(&str, f64)> {
    let (name, value) = pair.split_once('=').ok_or_else(|| format!("\"{pair}\" is no parameter such as u=2.2"))?;
    Ok((name, value.parse().map_err(|_| format!("\"{value}\" is no number"))?))
}

fn miner(letter: &str) -> Read<Hardness> {
    let known = |miner: &Hardness| letter.strip_prefix(miner.letter()) == Some("");
    Hardness::ALL.into_iter().find(known).ok_or_else(|| format!("no miner has the letter \"{letter}\""))
}

fn destination(text: &str) -> Read<Destination> {
    let gradual = [Shape::Linear, Shape::Square, Shape::SquareRoot].into_iter().find(|shape| symbol(*shape) == text);
    if let Some(shape) = gradual {
        return Ok(Destination::Gradual(Gradual { shape, ..Default::default() }));
    }
    if let Some(letter) = text.strip_prefix("gB(").and_then(|rest| rest.strip_suffix(')')) {
        return Ok(Destination::Boosted(Boosted { mined: miner(letter)?, xi: Boosted::DEFAULT_XI, u: DEFAULT_U }));
    }
    let constant = match text {
        "-gamma" => Some(-MARGIN),
        "-gamma/2" => Some(-MARGIN / 2.0),
        _ => text.parse().ok(),
    };
    match constant {
        Some(hardness) => Ok(Destination::Constant(hardness)),
        None => miner(text).map(Destination::Mined).map_err(|_| format!("\"{text}\" is no destination")),
    }
}
