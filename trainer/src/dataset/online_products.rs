//! Stanford Online Products: 120,053 photographs of 22,634 products that were for sale on eBay.
//!
//! `Ebay_train.txt` and `Ebay_test.txt` have a header line and then lines `<image_id> <class_id> <super_class_id> <path>`. No
//! class is in both, so the official split is a zero-shot split.
//!
//! Source: Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016.

use std::path::Path;

use super::assemble::{Class, Sides};
use super::listing::{Listing, PictureFile};
use super::official::{Official, Size, by_number};
use super::{DatasetError, Format, Request, Splits};

const OFFICIAL: Official = Official {
    title: "Stanford Online Products",
    download: "https://cvgl.stanford.edu/projects/lifted_struct",
    train: Size { pictures: 59_551, classes: 11_318 },
    test: Size { pictures: 60_502, classes: 11_316 },
};
const TRAIN: &str = "Ebay_train.txt";
const TEST: &str = "Ebay_test.txt";

/// The unpacked archive `Stanford_Online_Products`.
pub(super) struct StanfordOnlineProducts;

impl Format for StanfordOnlineProducts {
    fn name(&self) -> &'static str {
        "stanford_online_products"
    }

    fn looks_for(&self) -> &'static str {
        "Stanford Online Products (Ebay_train.txt and Ebay_test.txt)"
    }

    fn is_here(&self, path: &Path) -> bool {
        path.join(TRAIN).is_file() || path.join(TEST).is_file()
    }

    fn load(&self, folder: &Path, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let sides = Sides { train: side(folder, TRAIN)?, test: side(folder, TEST)? };
        OFFICIAL.ensure_pictures(&folder.join(TRAIN), &sides)?;
        let (place, notes) = (format!("\"{}\"", folder.display()), OFFICIAL.notes(&sides));
        Listing { name: "stanford-online-products".into(), place, sides, notes }.read(request)
    }
}

fn side(folder: &Path, name: &str) -> Result<Vec<Class<PictureFile>>, DatasetError> {
    let list = OFFICIAL.read(folder, name)?;
    let mut pictures = Vec::new();
    for (line, [_, class, _, path]) in list.rows(1, "<image_id> <class_id> <super_class_id> <path>")? {
        let class = list.number((line, class), 1..=22_634)?;
        pictures.push((class, PictureFile::new(folder.join(path))));
    }
    Ok(by_number(pictures, class_name).into_values().collect())
}

/// `bicycle-1` for class 1, whose pictures are in `bicycle_final`.
fn class_name(class: u32, picture: &Path) -> String {
    let folder = picture.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    format!("{}-{class}", folder.strip_suffix("_final").unwrap_or(&folder))
}
