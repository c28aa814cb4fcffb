// Updates in one pass over memory: pixels under attack, and parameters in training.
#include "common.cuh"

// One step of projected gradient descent: against the sign of the slope, back into the ball, back into [0, 1].
//
// The same comparisons and roundings as on the CPU, so the same bits. A slope that is not finite raises `flag`.
template <typename T>
__device__ void pgd_step(const T* pixels, const T* benign, const T* slopes, T* out, unsigned* flag, double stride,
                         double radius, unsigned count) {
    ELEMENT(i, count)
    const T slope = slopes[i], centre = benign[i];
    // The difference of a finite number with itself is 0; every thread that writes writes the same.
    if (slope - slope != T(0)) *flag = 1;
    T moved = pixels[i];
    if (slope > T(0)) moved -= T(stride);
    else if (slope < T(0)) moved += T(stride);
    const T highest = centre + T(radius), lowest = centre - T(radius);
    if (highest < moved) moved = highest;
    if (lowest > moved) moved = lowest;
    if (T(0) > moved) moved = T(0);
    if (T(1) < moved) moved = T(1);
    out[i] = moved;
}

// Adam with coupled decay; the formula stands with the function that launches this.
template <typename T>
__device__ void adam_step(T* values, const T* gradient, T* first, T* second, double decay, double first_kept,
                          double second_kept, double step_size, double second_scale, double epsilon, unsigned count) {
    ELEMENT(i, count)
    const T slope = gradient[i] + T(decay) * values[i];
    const T mean = T(first_kept) * first[i] + T(1.0 - first_kept) * slope;
    const T square = T(second_kept) * second[i] + T(1.0 - second_kept) * slope * slope;
    first[i] = mean;
    second[i] = square;
    values[i] -= T(step_size) * mean / (sqrt(square) / T(second_scale) + T(epsilon));
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void pgd_step_##suffix(const T* pixels, const T* benign, const T* slopes, T* out,          \
                                                 unsigned* flag, double stride, double radius, unsigned count) {     \
        pgd_step(pixels, benign, slopes, out, flag, stride, radius, count);                                          \
    }                                                                                                                \
    extern "C" __global__ void adam_step_##suffix(T* values, const T* gradient, T* first, T* second, double decay,   \
                                                  double first_kept, double second_kept, double step_size,           \
                                                  double second_scale, double epsilon, unsigned count) {             \
        adam_step(values, gradient, first, second, decay, first_kept, second_kept, step_size, second_scale, epsilon, \
                  count);                                                                                            \
    }
FOR_REALS(DEFINE)
