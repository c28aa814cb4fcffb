//! The papers' names of defenses, read and written.

use holdfast_trainer::defense::attacked_triplet::AttackedTripletConfig;
use holdfast_trainer::defense::ca_tride::CaTrideConfig;
use holdfast_trainer::defense::ca_tride::collapse::FarMean;
use holdfast_trainer::defense::embedding_shift::EmbeddingShiftConfig;
use holdfast_trainer::defense::gradual_adversary::{Boosted, Gradual, Shape};
use holdfast_trainer::defense::hardness_manipulation::{Destination, HardnessManipulationConfig};
use holdfast_trainer::defense::intra_class_structure::IntraClassStructure;
use holdfast_trainer::defense::vanilla::VanillaConfig;
use holdfast_trainer::defense::{DefenseConfig, notation};
use holdfast_trainer::miner::Hardness;
use proptest::prelude::*;

fn hardness_manipulation(name: &str) -> HardnessManipulationConfig {
    match notation::parse(name).unwrap() {
        DefenseConfig::HardnessManipulation(config) => config,
        other => panic!("{name} was read as {other:?}"),
    }
}

#[test]
fn every_row_of_the_papers_tables_is_read_and_printed_as_it_stands_there() {
    let rows = "N/A[R] EST[R] ACT[R] ACT[S] HM[R,M] HM[S,M] HM[S,0] HM[S,gLGA] HM[S,gLGA]&ICS HM[R,gLGA]&ICS HM[S,M]&ICS \
        HM[S,g2] HM[S,g1/2] HM[S,gB(M)] HM[S,gLGA](u=2.2) HM[S,gLGA]&ICS(lambda=0.05) HM[S,gLGA]&ICS(lambda=1) \
        HM[S,gLGA]&ICS(gamma=0.2) HM[S,gB(M)](xi=0.2) HM[S,gLGA](u=2.2)&ICS(lambda=0.05,gamma=0.2) CA-TRIDE \
        CA-TRIDE(lambda=9.5) REST[R] SES[S] AMD[R]";
    for row in rows.split_whitespace() {
        assert_eq!(notation::parse(row).unwrap().build().name(), row);
    }
}

#[test]
fn all_pairs_of_miners_are_source_and_destination() {
    for source in Hardness::ALL {
        for destination in Hardness::ALL {
            let name = format!("HM[{},{}]", source.letter(), destination.letter());

            let config = hardness_manipulation(&name);

            assert_eq!((config.source, config.destination), (source, Destination::Mined(destination)));
        }
    }
}

#[test]
fn numbers_that_the_tables_print_and_others_mean_what_they_say() {
    let structure = |name| hardness_manipulation(name).intra_class_structure.unwrap();
    let destination = |name| hardness_manipulation(name).destination;

    assert_eq!(structure("HM[S,gLGA]&ICS"), IntraClassStructure { weight: 0.5, margin: 0.0 });
    assert_eq!(structure("HM[S,gLGA]&ICS(lambda=0.05, gamma=0.2)"), IntraClassStructure { weight: 0.05, margin: 0.2 });
    assert_eq!(destination("HM[S,gLGA](u=2.2)"), Destination::Gradual(Gradual { shape: Shape::Linear, u: 2.2 }));
    assert_eq!(destination("HM[S,-gamma/2]"), Destination::Constant(-0.1));
    assert_eq!(destination("HM[S, −γ]"), Destination::Constant(-0.2));
    assert_eq!(destination("HM[S,g½]"), destination("HM[S,g1/2]"));
    let boosted = Boosted { mined: Hardness::Semihard, xi: 0.3, u: 0.2 };
    assert_eq!(destination("HM[S,gB(M)](ξ=0.3)"), Destination::Boosted(boosted));
    assert_eq!(notation::parse("HM [ S , gLGA ] & ICS").unwrap(), notation::parse("HM[S,gLGA]&ICS").unwrap());
}

#[test]
fn what_cannot_be_read_is_answered_with_the_reason_and_the_grammar() {
    for (text, reason) in [
        ("HM[S]", "HM has 2 value(s) in brackets, got 1"),
        ("HM[S,X]", "\"X\" is no destination"),
        ("HM[X,S]", "no miner has the letter \"X\""),
        ("HM[S,M", "bracket is not closed"),
        ("HM[S,M](u=2)", "no parameter \"u\" here"),
        ("HM[S,gLGA](v=2)", "known: u"),
        ("HM[S,gLGA](u=two)", "\"two\" is no number"),
        ("HM[S,gLGA](u=2.2", "do not end"),
        ("HM[S,gLGA]&ICS(weight=1)", "known: lambda, gamma"),
        ("HM[S,gLGA]&FUN", "\"FUN\" cannot follow &"),
        ("HM[S,gLGA]ICS", "\"ICS\" stands where"),
        ("ACT[R]&ICS", "only HM can"),
        ("ACT", "ACT has 1 value(s) in brackets, got 0"),
        ("ACT[RS]", "no miner has the letter \"RS\""),
        ("CA-TRIDE[R]", "CA-TRIDE has 0 value(s)"),
        ("TRADES[R]", "no defense is called \"TRADES\""),
        ("", "no defense is called"),
    ] {
        let message = notation::parse(text).unwrap_err().to_string();

        assert!(message.contains(reason), "{message}");
        assert!(message.contains(&format!("\"{text}\"")) && message.contains("HM[S,gLGA]&ICS"), "{message}");
    }
}

fn miner() -> impl Strategy<Value = Hardness> {
    prop::sample::select(Hardness::ALL.to_vec())
}

fn destination() -> impl Strategy<Value = Destination> {
    let shape = prop::sample::select(vec![Shape::Linear, Shape::Square, Shape::SquareRoot]);
    let u = || prop_oneof![Just(0.2), 0.01f64..3.0];
    prop_oneof![
        miner().prop_map(Destination::Mined),
        (-2.0f64..2.0).prop_map(Destination::Constant),
        (shape, u()).prop_map(|(shape, u)| Destination::Gradual(Gradual { shape, u })),
        (miner(), prop_oneof![Just(0.1), 0.0f64..2.0], u()).prop_map(|(mined, xi, u)| Destination::Boosted(Boosted {
            mined,
            xi,
            u
        })),
    ]
}

fn structure() -> impl Strategy<Value = Option<IntraClassStructure>> {
    let weights = prop_oneof![Just(0.5), 0.001f64..2.0];
    let margins = prop_oneof![Just(0.0), 0.0f64..1.0];
    prop::option::of((weights, margins).prop_map(|(weight, margin)| IntraClassStructure { weight, margin }))
}

fn defense() -> impl Strategy<Value = DefenseConfig> {
    let triplet = |source| AttackedTripletConfig { source, ..Default::default() };
    let shift = |source| EmbeddingShiftConfig { source, ..Default::default() };
    prop_oneof![
        miner().prop_map(|source| DefenseConfig::Vanilla(VanillaConfig { source })),
        miner().prop_map(move |source| DefenseConfig::Est(shift(source))),
        miner().prop_map(move |source| DefenseConfig::Ses(shift(source))),
        miner().prop_map(move |source| DefenseConfig::Rest(triplet(source))),
        miner().prop_map(move |source| DefenseConfig::Act(triplet(source))),
        miner().prop_map(move |source| DefenseConfig::Amd(triplet(source))),
        (miner(), destination(), structure()).prop_map(|(source, destination, intra_class_structure)| {
            DefenseConfig::HardnessManipulation(HardnessManipulationConfig {
                source,
                destination,
                intra_class_structure,
                ..Default::default()
            })
        }),
        prop_oneof![Just(10.0), 0.5f64..20.0].prop_map(|temperature| {
            let far_mean = FarMean { temperature, ..Default::default() };
            DefenseConfig::CaTride(CaTrideConfig { far_mean, ..Default::default() })
        }),
    ]
}

proptest! {
    #[test]
    fn a_name_that_was_printed_is_read_as_the_defense_that_has_it(config in defense()) {
        let name = config.build().name();

        prop_assert_eq!(notation::parse(&name).unwrap(), config, "{}", name);
    }

    #[test]
    fn settings_survive_being_written_down(config in defense()) {
        let json = serde_json::to_value(&config).unwrap();
        prop_assert_eq!(serde_json::from_value::<DefenseConfig>(json).unwrap(), config.clone());
        let text = toml::to_string(&config).unwrap();
        prop_assert_eq!(toml::from_str::<DefenseConfig>(&text).unwrap(), config);
    }

    #[test]
    fn no_text_is_too_strange_to_be_answered(text in "(HM|ACT|CA-TRIDE)[\\[\\](),&=gBLA0-9.λRMS-]{0,12}") {
        match notation::parse(&text) {
            Ok(config) => prop_assert_eq!(notation::parse(&config.build().name()).unwrap(), config),
            Err(error) => prop_assert!(error.to_string().contains(&text)),
        }
    }
}
