//! The name of a device in a configuration → the device.

use candle_core::utils::cuda_is_available;
use candle_core::{Device, DeviceLocation};

use crate::{Error, Result};

const CHOICES: &str = "\"cpu\", \"cuda:N\" (N = 0, 1, …) and \"auto\" (the first CUDA device, or else the CPU)";

/// The device called `name`: "cpu", "cuda:N" or "auto".
///
/// Only "auto" falls back; [`device_name`] tells what it chose.
///
/// # Errors
/// If the name is none of these, or a CUDA device is asked for that is not here.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(cuda(0).unwrap_or(Device::Cpu)),
        _ => match name.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok()) {
            Some(ordinal) => cuda(ordinal),
            None => Err(Error::Device(format!("unknown device \"{name}\"; known: {CHOICES}"))),
        },
    }
}

/// The name that [`device`] gives this device back for.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

fn cuda(ordinal: usize) -> Result<Device> {
    if !cuda_is_available() {
        return Err(Error::Device(format!(
            "device \"cuda:{ordinal}\" needs CUDA, and this program was built without; use \"cpu\", or a build with CUDA"
        )));
    }
    // The driver's own words would carry a backtrace.
    let absent =
        |_| Error::Device(format!("device \"cuda:{ordinal}\" cannot be opened; check `nvidia-smi`, or use \"cpu\""));
    Device::new_cuda(ordinal).map_err(absent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(device_name(&device("cpu").unwrap()), "cpu");
    }

    #[test]
    fn auto_falls_back_and_says_to_what() {
        let expected = if cuda_is_available() { "cuda:0" } else { "cpu" };

        assert_eq!(device_name(&device("auto").unwrap()), expected);
    }

    #[test]
    fn unknown_names_list_the_choices() {
        for name in ["gpu", "cuda", "cuda:", "cuda:-1", "cuda:first", "CPU", ""] {
            let message = device(name).unwrap_err().to_string();

            assert!(message.starts_with(&format!("unknown device \"{name}\"; known: \"cpu\"")), "{message}");
        }
    }

    #[test]
    fn a_cuda_device_that_is_not_here_is_an_error_and_never_the_cpu() {
        let message = device("cuda:99").unwrap_err().to_string();

        assert!(message.contains("\"cuda:99\"") && message.contains("use \"cpu\""), "{message}");
    }
}
