//! Picture ↔ values: sizes, colours, order.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use holdfast_model::pixels::{DecodeLimits, PixelsError, batch, decode, to_picture, to_pixels};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;
use safetensors::SafeTensors;

use crate::{photo, shape};

#[test]
fn sizes_and_colours_are_those_of_pillow() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/pixels");
    let expected = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();

    let mut compared = 0;
    for (key, want) in expected.tensors() {
        let (name, channels) = (key.split('/').next().unwrap(), if key.contains("/grey/") { 1 } else { 3 });
        let (height, width) = (want.shape()[0], want.shape()[1]);
        let picture =
            decode(&std::fs::read(folder.join(format!("{name}.png"))).unwrap(), &DecodeLimits::default()).unwrap();

        let got = to_pixels(&picture, shape(channels, height, width)).unwrap();

        let plane = height * width;
        let planar = (0..channels * plane).map(|at| want.data()[(at % plane) * channels + at / plane]);
        let worst = got.iter().zip(planar).map(|(got, want)| (got * 255.0 - f32::from(want)).abs()).fold(0.0, f32::max);
        assert!(worst <= 2.0, "{key}: off by {worst} of 255");
        compared += 1;
    }
    assert_eq!(compared, 24, "4 pictures × 3 sizes × 2 colour modes");
}

#[test]
fn grey_is_the_luma_of_itu_r_601() {
    let luma = |rgb| {
        let picture = RgbImage::from_pixel(3, 3, Rgb(rgb)).into();
        (to_pixels(&picture, shape(1, 1, 1)).unwrap()[0] * 255.0).round()
    };

    assert_eq!([luma([255, 0, 0]), luma([0, 255, 0]), luma([0, 0, 255])], [76.0, 150.0, 29.0]);
    assert!((0..=255).all(|grey| luma([grey; 3]) == f32::from(grey)), "grey pixels keep their value");
}

#[test]
fn transparency_shows_white() {
    let see_through = RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 0])).into();
    let half = RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 128])).into();

    assert_eq!(to_pixels(&see_through, shape(3, 2, 2)).unwrap(), [1.0; 12]);
    assert_eq!(to_pixels(&half, shape(1, 1, 1)).unwrap(), [127.0 / 255.0]);
}

#[test]
fn sixteen_bits_become_eight() {
    let deep = |value| DynamicImage::ImageLuma16(ImageBuffer::from_pixel(2, 2, Luma([value])));
    let grey = |value| (to_pixels(&deep(value), shape(1, 1, 1)).unwrap()[0] * 255.0).round();

    assert_eq!([grey(0), grey(u16::MAX), grey(257 * 100), grey(257 * 100 + 200)], [0.0, 255.0, 100.0, 101.0]);
}

#[test]
fn channels_come_one_after_another_row_by_row() {
    let picture = RgbImage::from_fn(2, 1, |x, _| if x == 0 { Rgb([255, 0, 51]) } else { Rgb([0, 102, 0]) }).into();

    assert_eq!(to_pixels(&picture, shape(3, 1, 2)).unwrap(), [1.0, 0.0, 0.0, 0.4, 0.2, 0.0]);
}

#[test]
fn an_empty_picture_and_an_odd_number_of_channels_are_refused() {
    let empty = to_pixels(&DynamicImage::new_rgb8(0, 3), shape(3, 4, 4)).unwrap_err();
    let two = to_pixels(&photo(4, 4), shape(2, 4, 4)).unwrap_err();

    assert!(matches!(empty, PixelsError::Empty { width: 0, height: 3 }));
    assert!(matches!(two, PixelsError::Channels { channels: 2 }));
}

#[test]
fn a_batch_stacks_pictures_of_one_size() {
    let (first, second) = (vec![0.0, 0.25, 0.5, 0.75, 1.0, 0.5], vec![1.0; 6]);

    let stacked = batch(&[first, second], shape(1, 2, 3), &Device::Cpu, DType::F64).unwrap();

    assert_eq!((stacked.dims(), stacked.dtype()), ([2, 1, 2, 3].as_slice(), DType::F64));
    assert_eq!(
        stacked.get(0).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap(),
        [0.0, 0.25, 0.5, 0.75, 1.0, 0.5]
    );
}

#[test]
fn a_batch_names_the_row_of_the_wrong_size() {
    let error = batch(&[vec![0.0; 6], vec![0.0; 5]], shape(1, 2, 3), &Device::Cpu, DType::F32).unwrap_err();

    assert!(
        error.to_string().contains("picture 1 of the batch has 5 values, and the input (1, 2, 3) needs 6"),
        "{error}"
    );
    assert!(batch(&[], shape(1, 2, 3), &Device::Cpu, DType::F32).is_err());
}

#[test]
fn to_picture_undoes_to_pixels() {
    let grey: DynamicImage = GrayImage::from_fn(5, 3, |x, y| Luma([(50 * x + y) as u8])).into();
    for (picture, channels) in [(photo(7, 5), 3), (grey, 1)] {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let pixels = to_pixels(&picture, shape(channels, height, width)).unwrap();

        let back = to_picture(&Tensor::from_vec(pixels, (channels, height, width), &Device::Cpu).unwrap()).unwrap();

        assert_eq!(back, picture);
    }
}

#[test]
fn to_picture_clamps_and_refuses_what_is_no_picture() {
    let tensor = |values: &[f32]| Tensor::from_slice(values, (1, 1, values.len()), &Device::Cpu).unwrap();

    assert_eq!(to_picture(&tensor(&[-0.5, 0.5, 1.5])).unwrap().as_bytes(), [0, 128, 255]);
    assert!(to_picture(&tensor(&[0.5, f32::NAN])).unwrap_err().to_string().contains("position 1 is NaN"));
    assert!(to_picture(&tensor(&[0.5]).unsqueeze(0).unwrap()).unwrap_err().to_string().contains("[1, 1, 1, 1]"));
}

proptest! {
    #[test]
    fn any_picture_gives_exactly_the_values_a_net_takes(
        (width, height) in (1_u32..90, 1_u32..90),
        (to_width, to_height) in (1_usize..70, 1_usize..70),
        colours in 0..6,
        grey in any::<bool>(),
    ) {
        let photo = photo(width, height);
        let picture = match colours {
            0 => photo,
            1 => photo.to_luma8().into(),
            2 => photo.to_luma_alpha8().into(),
            3 => photo.to_rgba8().into(),
            4 => photo.to_rgb16().into(),
            _ => photo.to_rgba32f().into(),
        };
        let input = shape(if grey { 1 } else { 3 }, to_height, to_width);

        let pixels = to_pixels(&picture, input).unwrap();

        prop_assert_eq!(pixels.len(), input.channels * to_height * to_width);
        prop_assert!(pixels.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}
