//! Tables of pictures.

use std::fs;
use std::path::PathBuf;

use holdfast_trainer::dataset::Splits;
use tempfile::TempDir;

use crate::{COLOUR, complaint, contents, load, photograph};

/// A folder with twelve pictures and this table.
fn manifest(table: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    for picture in 0..12 {
        photograph(&folder.path().join(format!("pictures/{picture}.png")));
    }
    let file = folder.path().join("shoes.csv");
    fs::write(&file, table).unwrap();
    (folder, file)
}

fn rows(header: &str, rows: &[(usize, &str, &str)]) -> String {
    let row = |(picture, label, split): &(usize, &str, &str)| format!("pictures/{picture}.png,{label}{split}\n");
    format!("{header}\n{}", rows.iter().map(row).collect::<String>())
}

const SPLIT: [(usize, &str, &str); 9] = [
    (0, "boot", ",train"),
    (1, "boot", ",train"),
    (2, "clog", ",train"),
    (3, "boot", ",gallery"),
    (4, "pump", ",gallery"),
    (5, "pump", ",query"),
    (6, "boot", ",query"),
    (7, "pump", ",test"),
    (8, "clog", ",train"),
];

#[test]
fn a_split_is_as_the_table_says_and_classes_are_sorted_by_name() {
    let (_folder, file) = manifest(&rows("path,label,split", &SPLIT));

    let Splits { train, test, .. } = load(&file, COLOUR).unwrap();

    assert_eq!((train.name.as_str(), train.len(), test.len()), ("shoes", 4, 5));
    assert_eq!((train.classes.join(" "), test.classes.join(" ")), ("boot clog".into(), "boot pump".into()));
    assert_eq!(contents(&test)[0], ("3.png".to_owned(), "boot"));
    let queries: Vec<_> = test.queries.iter().map(|&query| test.files[query].file_name().unwrap()).collect();
    assert_eq!(queries, ["6.png", "5.png"], "in the order of the data set, which takes classes in turn");
}

#[test]
fn columns_may_come_in_any_order_among_others_and_quoted() {
    let (_folder, file) = manifest(
        "price,Split,label,path\n1,train,\"boot, high\",pictures/0.png\n2,train,clog,pictures/1.png\n\
         3,test,pump,pictures/2.png\n4,test,\"boot, high\",pictures/3.png\n",
    );

    let Splits { train, test, .. } = load(&file, COLOUR).unwrap();

    assert_eq!(
        (train.classes.join("; "), test.classes.join("; ")),
        ("boot, high; clog".into(), "boot, high; pump".into())
    );
}

#[test]
fn without_a_split_the_first_half_of_the_classes_trains() {
    let pictures = [(0, "d", ""), (1, "a", ""), (2, "c", ""), (3, "b", ""), (4, "a", "")];
    let with_empty_column = pictures.map(|(picture, label, _)| (picture, label, ","));
    for table in [rows("path,label", &pictures), rows("path,label,split", &with_empty_column)] {
        let (_folder, file) = manifest(&table);

        let Splits { train, test, .. } = load(&file, COLOUR).unwrap();

        assert_eq!((train.classes.join(" "), test.classes.join(" ")), ("a b".into(), "c d".into()));
        assert_eq!((train.len(), test.queries.len()), (3, 0));
    }
}

#[test]
fn a_folder_with_a_manifest_is_recognised_and_named_after_the_folder() {
    let (folder, file) = manifest(&rows("path,label,split", &SPLIT));
    fs::rename(file, folder.path().join("manifest.csv")).unwrap();

    let train = load(folder.path(), COLOUR).unwrap().train;

    assert_eq!(train.name, folder.path().file_name().unwrap().to_string_lossy());
}

#[test]
fn a_line_that_cannot_be_used_is_told_with_its_number() {
    let with = |row: &str| format!("{}{row}\n", rows("path,label,split", &SPLIT));
    let cases = [
        (with("pictures/9.png,boot,tset"), "line 11 has the split \"tset\": a split is train, test, query or gallery"),
        (with("pictures/9.png,boot,"), "line 11 has the split \"\""),
        (with("pictures/9.png,,train"), "line 11 has an empty label"),
        (with("pictures/99.png,boot,train"), "line 11 lists \""),
        (with("pictures/4.png,boot,train"), "again, after line 6"),
        (with("pictures/9.png,boot"), "line 11 has no split"),
        (rows("file,label,split", &SPLIT), "its first line has no column \"path\""),
        ("path,label\n".to_owned(), "lists nothing"),
        (String::new(), "its first line has no column \"path\""),
    ];
    for (table, expected) in cases {
        let (_folder, file) = manifest(&table);

        let message = complaint(&file, COLOUR);

        assert!(message.contains(expected) && message.contains("shoes.csv"), "{message}");
    }
}

#[test]
fn a_table_without_test_pictures_is_refused() {
    let train = SPLIT.map(|(picture, label, _)| (picture, label, ",train"));
    let (_folder, file) = manifest(&rows("path,label,split", &train));

    let message = complaint(&file, COLOUR);

    assert!(message.contains("0 would test") && message.contains("change the split"), "{message}");
}
