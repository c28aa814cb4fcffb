//! How the page looks and sounds, on small and large screens, light and dark.

use std::path::PathBuf;

use holdfast_tests::browser::Screen;
use holdfast_tests::pictures::png;
use serde_json::json;

use super::Shop;

const SCREENS: [(&str, Screen); 3] = [
    ("light", Screen { width: 1440, height: 1000, dark: false }),
    ("dark", Screen { width: 1440, height: 1000, dark: true }),
    ("mobile", Screen { width: 360, height: 780, dark: false }),
];

/// Texts whose contrast with their ground is under what WCAG AA asks: 4.5, or 3 for large text. Colours go through a canvas,
/// which knows every notation; half-transparent grounds are laid over each other.
const TOO_FAINT: &str = "\
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const over = (colours) => { canvas.clearRect(0, 0, 1, 1); for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const luminance = (rgb) => { const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const grounds = (node) => { const found = []; for (; node; node = node.parentElement) found.unshift(getComputedStyle(node).backgroundColor); return found; };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || element.closest(':disabled, .visually-hidden, noscript, option, datalist')) continue;
    const style = getComputedStyle(element);
    const ground = grounds(element);
    const [light, dark] = [luminance(over([...ground, style.color])), luminance(over(ground))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < (large ? 3 : 4.5)) faint.push(`${contrast.toFixed(2)}: ${text.data.trim().slice(0, 40)} in ${element.className || element.tagName}`);
  }
  return faint;
})()";

/// Keeps what the browser shows, to be looked at; SCREENSHOTS names the folder.
fn keep_screenshot(shop: &mut Shop, name: &str) {
    let chosen = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
    let folder = chosen.unwrap_or_else(|| std::env::temp_dir().join("holdfast-screenshots"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), shop.page.screenshot()).unwrap();
}

/// Waits until every picture that is in view is drawn.
fn wait_for_pictures(shop: &mut Shop) {
    shop.wait("[...document.images].every((image) => image.complete || image.loading === 'lazy' || image.hidden)");
}

/// Puts something on each page.
fn fill_page(shop: &mut Shop, page: &str) {
    match page {
        "search" => shop.search(&png("plum", 3), 20),
        "gallery" => shop.wait("document.querySelectorAll('#items .card').length > 0"),
        "add" => {
            std::fs::write(shop.world.path("new.png"), png("plum", 60)).unwrap();
            shop.page.choose_file("#files", &shop.world.path("new.png"));
        }
        "robustness" => shop.wait("document.querySelectorAll('#robustness-body > .scores .score').length === 5"),
        _ => shop.wait("document.querySelectorAll('.server-group').length === 4"),
    }
    wait_for_pictures(shop);
}

#[test]
fn every_page_fits_its_screen_is_readable_and_has_a_name_for_every_control() {
    let Some(mut shop) = Shop::open_watched() else { return };
    for page in ["search", "gallery", "add", "robustness", "server"] {
        shop.page.show_on(SCREENS[0].1);
        shop.go(page);
        fill_page(&mut shop, page);
        for (name, screen) in SCREENS {
            shop.page.show_on(screen);
            let place = format!("{page}, {name}");

            keep_screenshot(&mut shop, &format!("{page}-{name}.png"));

            let wide = shop.page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wide, json!(0), "{place} has to be scrolled sideways");
            assert_eq!(shop.page.value(TOO_FAINT), json!([]), "{place}");
        }
        assert_every_control_has_a_name(&mut shop, page);
    }
    shop.assert_no_complaints();
}

#[track_caller]
fn assert_every_control_has_a_name(shop: &mut Shop, page: &str) {
    const CONTROLS: [&str; 8] =
        ["button", "link", "textbox", "combobox", "checkbox", "spinbutton", "meter", "navigation"];
    let heard = shop.page.accessible_names();
    let nameless: Vec<_> =
        heard.iter().filter(|(role, name)| CONTROLS.contains(&role.as_str()) && name.trim().is_empty()).collect();
    assert!(nameless.is_empty(), "{page} has controls without a name: {nameless:?}");
    assert!(heard.iter().any(|(role, _)| role == "main"), "{page} has no main landmark");
}
