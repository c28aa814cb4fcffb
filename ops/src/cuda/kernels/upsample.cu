// Pictures in another size: each axis is a sparse linear map, in a table that the host makes for every method.
#include "common.cuh"

// The host's struct of the same name and order.
struct Sizes {
    unsigned height, width, channels;
    unsigned out_height, out_width;
};

// Output `o` of an axis is the sum of weights[t] · input inputs[t] over t in [starts[o], starts[o + 1]).
struct Terms {
    const unsigned *starts, *inputs;
    const double* weights;
};

template <typename T>
__device__ void upsample(const T* x, T* y, Terms rows, Terms columns, Sizes size, unsigned count) {
    using W = wide<T>;
    ELEMENT(i, count)
    const unsigned channel = i % size.channels, pixel = i / size.channels;
    const unsigned column = pixel % size.out_width, line = pixel / size.out_width;
    const unsigned row = line % size.out_height, picture = line / size.out_height;
    W sum = 0;
    for (unsigned t = columns.starts[column]; t < columns.starts[column + 1]; t++) {
        W of_column = 0;
        for (unsigned u = rows.starts[row]; u < rows.starts[row + 1]; u++) {
            const unsigned from = (picture * size.height + rows.inputs[u]) * size.width + columns.inputs[t];
            of_column += W(rows.weights[u]) * load(x, from * size.channels + channel);
        }
        sum += W(columns.weights[t]) * of_column;
    }
    y[i] = T(sum);
}

#define DEFINE(T, suffix)                                                                                            \
    extern "C" __global__ void upsample_##suffix(const T* x, T* y, const unsigned* row_starts,                       \
                                                 const unsigned* row_inputs, const double* row_weights,              \
                                                 const unsigned* column_starts, const unsigned* column_inputs,       \
                                                 const double* column_weights, Sizes size, unsigned count) {         \
        const Terms rows = {row_starts, row_inputs, row_weights};                                                    \
        const Terms columns = {column_starts, column_inputs, column_weights};                                        \
        upsample(x, y, rows, columns, size, count);                                                                  \
    }
FOR_FORMATS(DEFINE)
