// SPDX-License-Identifier: Apache-2.0
// Owns how the host makes the table of multiples of the generator.
#include "kernels/secp256k1/detail/gpu/generator_table.hpp"

#include <cstring>

#include "kernels/keccak/detail/packed.hpp"

namespace millrace::kernels::gpu {

namespace {

/// Fills one row: its Jacobian points are made by adding 2 base again and again, and share one
/// inversion (Montgomery's trick).
void make_row(const Affine& base, Affine* row) {
    const Affine step = to_affine(doubled({base.x, base.y, field_of(1)}));
    std::vector<Jacobian> points(generator_table_row);
    std::vector<Field> products(generator_table_row);  // of all z up to this one
    points[0] = {base.x, base.y, field_of(1)};
    products[0] = points[0].z;
    for (size_t j = 1; j < points.size(); ++j) {
        points[j] = add_affine(points[j - 1], step);
        products[j] = mul(products[j - 1], points[j].z);
    }
    Field inverse = normalized(products.back());
    invert<FieldModulus>(inverse.v, inverse.v);
    for (size_t j = points.size(); j-- > 0;) {
        const Field z_inverse = j == 0 ? inverse : mul(inverse, products[j - 1]);
        inverse = mul(inverse, points[j].z);
        const Field z_inverse2 = sqr(z_inverse);
        row[j] = {normalized(mul(points[j].x, z_inverse2)),
                  normalized(mul(points[j].y, mul(z_inverse2, z_inverse)))};
    }
}

}  // namespace

TableDigest digest_of_table(const Affine* table) {
    std::vector<uint64_t> words(generator_table_bytes / sizeof(uint64_t));
    std::memcpy(words.data(), table, generator_table_bytes);
    TableDigest digest;
    kernels::detail::keccak256_packed(words.data(), static_cast<uint32_t>(generator_table_bytes),
                                      kernels::detail::keccak_round_constants, digest.data());
    return digest;
}

std::array<Affine, generator_windows> generator_rows() noexcept {
    std::array<Affine, generator_windows> rows;
    rows[0] = generator();
    for (size_t w = 1; w < rows.size(); ++w) {
        Jacobian base{rows[w - 1].x, rows[w - 1].y, field_of(1)};
        for (int i = 0; i < generator_window_bits; ++i) { base = doubled(base); }
        rows[w] = to_affine(base);
    }
    return rows;
}

std::vector<Affine> make_generator_table() {
    std::vector<Affine> table(generator_table_entries);
    const auto rows = generator_rows();
    for (size_t w = 0; w < rows.size(); ++w) {
        make_row(rows[w], table.data() + w * generator_table_row);
    }
    return table;
}

}  // namespace millrace::kernels::gpu
