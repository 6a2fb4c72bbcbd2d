// SPDX-License-Identifier: Apache-2.0
// Owns how the timed calls of precompiles and their answers are made.
#include "host/node/benchmark/precompile_cases.hpp"

#include <openssl/bn.h>

#include <array>
#include <memory>
#include <random>
#include <string_view>

#include "evm/precompiles/bn254.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/base/error.hpp"
#include "host/base/hex.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::node {
namespace {

using Cases = std::vector<PrecompileCase>;

/// The same numbers on every machine: the engine is fixed by the standard, and so is the seed.
class Numbers {
public:
    U256 word() { return {engine_(), engine_(), engine_(), engine_()}; }
    Bytes bytes(size_t count) {
        Bytes r(count);
        for (uint8_t& b : r) { b = static_cast<uint8_t>(engine_()); }
        return r;
    }
    Hash256 hash() { return Hash256::from(bytes(32)); }

private:
    std::mt19937_64 engine_{0x7883};
};

Bytes hex(std::string_view text) {
    Result<Bytes> r = from_hex(text);
    MILLRACE_ASSERT(r.has_value(), "a literal is hexadecimal");
    return *std::move(r);
}

Bytes big_endian(const U256& v) {
    Bytes r(32);
    store_be(v, r.data());
    return r;
}

template <class... Parts>
Bytes join(const Parts&... parts) {
    Bytes r;
    (r.insert(r.end(), parts.begin(), parts.end()), ...);
    return r;
}

void append(Bytes& to, const Bytes& part) { to.insert(to.end(), part.begin(), part.end()); }

/// The output of a contract that only serves to make inputs.
Bytes output_of(unsigned number, const Bytes& input) {
    Address address;
    address[19] = static_cast<uint8_t>(number);
    evm::PrecompileOutcome r =
        evm::StandardPrecompiles{}.run(address, input, uint64_t{1} << 40, evm::latest_revision);
    MILLRACE_ASSERT(r.success, "a made input is valid");
    return std::move(r.output);
}

void add_ecrecover(Cases& cases, Numbers& numbers) {
    const Hash256 digest = numbers.hash();
    const Hash256 key = numbers.hash();
    const auto signature = kernels::sign(digest, key);
    const auto signer = kernels::address_of_secret_key(key);
    MILLRACE_ASSERT(signature && signer, "a random number is a key");
    cases.push_back({"ecrecover", 0x01,
                     join(digest, big_endian(U256{27u + signature->y_parity}),
                          big_endian(signature->r), big_endian(signature->s)),
                     join(Bytes(12), *signer)});
}

/// Byte i is i^2 + 3i + 1; the digests below belong to it.
Bytes pattern(size_t count) {
    Bytes r(count);
    for (size_t i = 0; i < count; ++i) { r[i] = static_cast<uint8_t>(i * i + 3 * i + 1); }
    return r;
}

void add_hashes(Cases& cases) {
    struct Digests {
        size_t bytes;
        std::string_view sha256;
        std::string_view ripemd160;
    };
    constexpr std::array<Digests, 4> digests{{
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "9c1185a5c5e9fc54612808977ee8f548b2258d31"},
        {64, "309fc5f6645a69609a0fc09c545991754e3368d7658dc139e258fa82962b736c",
         "3604b06152bfce9262bca705aa4920dc14b43f69"},
        {1024, "73e59fc206c39db987e5a1eb69e9cecaf3d97f475e43df18a6076500f39f24c7",
         "72224d98df37a99839a6a6ee5e5df57758a1b9a4"},
        {131072, "3f3bd5cddec316dd79bb91688e7ec8181477c9d7c842f70b5239571341cc0f0e",
         "d85025699b6ba89b625387ff4c631eac97571274"},
    }};
    for (const Digests& d : digests) {
        cases.push_back(
            {"sha256/" + std::to_string(d.bytes), 0x02, pattern(d.bytes), hex(d.sha256)});
    }
    for (const Digests& d : digests) {
        cases.push_back({"ripemd160/" + std::to_string(d.bytes), 0x03, pattern(d.bytes),
                         join(Bytes(12), hex(d.ripemd160))});
    }
    for (const size_t bytes :
         {size_t{0}, size_t{32}, size_t{1024}, size_t{131072}, size_t{1} << 20}) {
        cases.push_back(
            {"identity/" + std::to_string(bytes), 0x04, pattern(bytes), pattern(bytes)});
    }
}

struct Release {
    void operator()(BN_CTX* p) const noexcept { BN_CTX_free(p); }
    void operator()(BIGNUM* p) const noexcept { BN_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

/// The power by OpenSSL, which shares nothing with the GMP behind the contract.
Bytes power(const Bytes& base, const Bytes& exponent, const Bytes& modulus) {
    const auto read = [](const Bytes& v) {
        return Owned<BIGNUM>(BN_bin2bn(v.data(), static_cast<int>(v.size()), nullptr));
    };
    const Owned<BIGNUM> r(BN_new());
    const Owned<BN_CTX> scratch(BN_CTX_new());
    Bytes output(modulus.size());
    const bool done = BN_mod_exp(r.get(), read(base).get(), read(exponent).get(),
                                 read(modulus).get(), scratch.get()) == 1 &&
                      BN_bn2binpad(r.get(), output.data(), static_cast<int>(output.size())) >= 0;
    MILLRACE_ASSERT(done, "a power with a modulus above one exists");
    return output;
}

enum class Modulus : uint8_t { odd, even, power_of_two };

/// The shapes that cost most under EIP-7883: the floor of 500 gas, exponents of few bits (a price
/// for one squaring buys the setup too), exponents whose bits are all set, and for each of them odd
/// moduli, even ones and powers of two, which take different ways through the library.
void add_modexp(Cases& cases, Numbers& numbers) {
    struct Shape {
        size_t base_bytes;
        size_t modulus_bytes;
        Modulus kind;
        const char* exponent_name;
        Bytes exponent;
    };
    const Bytes three{3};
    const Bytes fermat{1, 0, 1};
    const Bytes ones4(4, 0xff);
    const Bytes ones32(32, 0xff);
    const Bytes ones40(40, 0xff);
    const Shape shapes[] = {
        {1024, 1, Modulus::odd, "3", three},
        {32, 32, Modulus::odd, "2^32-1", ones4},
        {32, 32, Modulus::even, "2^32-1", ones4},
        {32, 32, Modulus::odd, "2^256-1", ones32},
        {32, 32, Modulus::even, "2^256-1", ones32},
        {64, 64, Modulus::odd, "2^256-1", ones32},
        {128, 128, Modulus::odd, "3", three},
        {128, 128, Modulus::even, "3", three},
        {128, 128, Modulus::power_of_two, "3", three},
        {192, 192, Modulus::even, "3", three},
        {256, 256, Modulus::odd, "3", three},
        {256, 256, Modulus::even, "65537", fermat},
        {256, 256, Modulus::odd, "2^256-1", ones32},
        {264, 264, Modulus::even, "2^320-1", ones40},
        {512, 512, Modulus::even, "3", three},
        {768, 768, Modulus::even, "3", three},
        {1024, 1024, Modulus::odd, "3", three},
        {1024, 1024, Modulus::even, "3", three},
        {1024, 1024, Modulus::power_of_two, "65537", fermat},
        {1024, 1024, Modulus::odd, "2^32-1", ones4},
    };
    constexpr std::array<const char*, 3> kind_names{"odd", "even", "power_of_two"};
    for (const Shape& shape : shapes) {
        const Bytes base(shape.base_bytes, 0xff);
        Bytes modulus = numbers.bytes(shape.modulus_bytes);
        modulus.front() |= 0x80;
        switch (shape.kind) {
            case Modulus::odd: modulus.back() |= 1; break;
            case Modulus::even:
                modulus.back() = static_cast<uint8_t>((modulus.back() & ~1) | 2);
                break;
            case Modulus::power_of_two:
                std::fill(modulus.begin(), modulus.end(), uint8_t{0});
                modulus.front() = 0x80;
                break;
        }
        const Bytes input =
            join(big_endian(U256{base.size()}), big_endian(U256{shape.exponent.size()}),
                 big_endian(U256{modulus.size()}), base, shape.exponent, modulus);
        std::string name = "modexp/" + std::to_string(shape.modulus_bytes) + "_" +
                           kind_names[static_cast<size_t>(shape.kind)] +
                           "_e=" + shape.exponent_name;
        if (shape.base_bytes != shape.modulus_bytes) {
            name += "_base=" + std::to_string(shape.base_bytes);
        }
        cases.push_back({std::move(name), 0x05, input, power(base, shape.exponent, modulus)});
    }
}

Bytes encode(const evm::bn254::G1Point& p) {
    return join(big_endian(p.x.to_integer()), big_endian(p.y.to_integer()));
}
Bytes encode(const evm::bn254::G2Point& q) {
    return join(big_endian(q.x.c1.to_integer()), big_endian(q.x.c0.to_integer()),
                big_endian(q.y.c1.to_integer()), big_endian(q.y.c0.to_integer()));
}

void add_bn254(Cases& cases, Numbers& numbers) {
    namespace bn254 = evm::bn254;
    const U256& order = bn254::group_order;
    const auto scalar = [&] { return numbers.word() % order; };
    const auto g1 = [](const U256& s) { return bn254::multiply(bn254::g1_generator(), s); };
    const auto g2 = [](const U256& s) { return bn254::multiply(bn254::g2_generator(), s); };
    const U256 a = scalar();
    const U256 b = scalar();
    cases.push_back(
        {"bn254_add", 0x06, join(encode(g1(a)), encode(g1(b))), encode(g1(add_mod(a, b, order)))});
    cases.push_back({"bn254_add/equal", 0x06, join(encode(g1(a)), encode(g1(a))),
                     encode(g1(add_mod(a, a, order)))});
    cases.push_back({"bn254_multiply", 0x07, join(encode(g1(a)), big_endian(b)),
                     encode(g1(mul_mod(a, b, order)))});
    cases.push_back(
        {"bn254_pairing/1", 0x08, join(encode(g1(a)), encode(g2(b))), big_endian(U256{})});
    for (const size_t pairs : {2, 4, 8, 16}) {
        // e(uv P, w Q) and e(-u P, vw Q) cancel each other.
        Bytes input;
        for (size_t i = 0; i < pairs; i += 2) {
            const U256 u = scalar();
            const U256 v = scalar();
            const U256 w = scalar();
            append(input, join(encode(g1(mul_mod(u, v, order))), encode(g2(w)),
                               encode(g1(order - u)), encode(g2(mul_mod(v, w, order)))));
        }
        cases.push_back({"bn254_pairing/" + std::to_string(pairs), 0x08, std::move(input),
                         big_endian(U256{1})});
    }
}

void add_blake2f(Cases& cases) {
    struct Answer {
        uint32_t rounds;
        std::string_view state;
    };
    constexpr std::array<Answer, 4> answers{{
        {1, "fec9fca565c1c11ebb2ffbb29d57f33ec15e4a1d13d5541187ff0162222c64ce"
            "7ab6ab420e949fa9004b9c29f4a13721035a9d7b146c4af3868a416842fd228b"},
        {12, "bcd9e3f3ddb423bdf021e59c3f655056bb8f5a26ed9537fbdffd39e7bcd01995"
             "bc1e75d461213b21f8a9b539e578ed44761b80e6423d5af95e28006278dc6cf1"},
        {1000, "d7741360bb65b96503683c5fa1a23ece008fd2acdcddcfcdd1a22a3abec7d9b3"
               "f7a921190506b377593d84626ff054ab3d5a8c8813e7ac0f60fca0585f27d8bf"},
        {1000000, "3269a4119e67cbdd70948f4b41c89c9aab920792cbcf6bf9ba3ca20c7836311e"
                  "34fafa8e7743fd268f793702bc957cc4cb5b55b35bc1cdff7308961cfd116fc5"},
    }};
    for (const Answer& answer : answers) {
        Bytes input = pattern(213);
        for (size_t i = 0; i < 4; ++i) {
            input[i] = static_cast<uint8_t>(answer.rounds >> (24 - 8 * i));
        }
        input[212] = 1;
        cases.push_back({"blake2f/" + std::to_string(answer.rounds), 0x09, std::move(input),
                         hex(answer.state)});
    }
}

const U256 bls12_order{0x73eda753299d7d48, 0x3339d80809a1d805, 0x53bda402fffe5bfe,
                       0xffffffff00000001};
constexpr unsigned bls12_g1_msm = 0x0c;
constexpr unsigned bls12_g2_msm = 0x0e;

/// A coordinate: 48 bytes behind 16 zeros.
Bytes bls12_field(std::string_view hex48) { return join(Bytes(16), hex(hex48)); }

Bytes bls12_g1(const U256& scalar) {
    static const Bytes generator =
        join(bls12_field("17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
                         "6c55e83ff97a1aeffb3af00adb22c6bb"),
             bls12_field("08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3ed"
                         "d03cc744a2888ae40caa232946c5e7e1"));
    return output_of(bls12_g1_msm, join(generator, big_endian(scalar)));
}

Bytes bls12_g2(const U256& scalar) {
    static const Bytes generator =
        join(bls12_field("024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d177"
                         "0bac0326a805bbefd48056c8c121bdb8"),
             bls12_field("13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049"
                         "334cf11213945d57e5ac7d055d042b7e"),
             bls12_field("0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c"
                         "923ac9cc3baca289e193548608b82801"),
             bls12_field("0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab"
                         "3f370d275cec1da1aaa9075ff05f79be"));
    return output_of(bls12_g2_msm, join(generator, big_endian(scalar)));
}

/// The compressed form of a finite point of G1 that the contracts' form holds.
Bytes bls12_compress(const Bytes& point) {
    // (p - 1) / 2, above which y counts as the larger of two roots.
    static const Bytes half = hex(
        "0d0088f51cbff34d258dd3db21a5d66bb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffff"
        "ffd555");
    Bytes r(point.begin() + 16, point.begin() + 64);
    r[0] |= 0x80;
    if (std::lexicographical_compare(half.begin(), half.end(), point.begin() + 80, point.end())) {
        r[0] |= 0x20;
    }
    return r;
}

/// The evaluation at z of p(X) = aX + b: its commitment is a [s]G1 + b G1, its quotient is a.
void add_kzg(Cases& cases, Numbers& numbers) {
    static const Bytes setup_g1 =
        join(bls12_field("0d3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28e27c8dcd8fc7cb42"
                         "d25926fc0c97b336e9f0fb35e5a04c81"),
             bls12_field("17de623f59a3043952d2f637a935fae14b6dee8b255e526304963d58ab6f1a82"
                         "7c7de623d34d394f8a3d0f57d6e972b9"));
    const U256 a = numbers.word() % bls12_order;
    const U256 b = numbers.word() % bls12_order;
    const U256 z = numbers.word() % bls12_order;
    const U256 y = add_mod(mul_mod(a, z, bls12_order), b, bls12_order);
    const Bytes commitment = bls12_compress(
        output_of(bls12_g1_msm, join(setup_g1, big_endian(a), bls12_g1(U256{1}), big_endian(b))));
    Bytes versioned_hash = output_of(0x02, commitment);
    versioned_hash[0] = 1;
    cases.push_back({"kzg_point_evaluation", 0x0a,
                     join(versioned_hash, big_endian(z), big_endian(y), commitment,
                          bls12_compress(bls12_g1(a))),
                     join(big_endian(U256{4096}), big_endian(bls12_order))});
}

/// Sums of distinct points with full scalars, in each size around which blst changes its way.
template <class Multiply>
void add_bls12_group(Cases& cases, Numbers& numbers, const std::string& group, unsigned add_number,
                     Multiply multiply) {
    const auto scalar = [&] { return numbers.word() % bls12_order; };
    const U256 a = scalar();
    const U256 b = scalar();
    cases.push_back({"bls12_" + group + "_add", add_number, join(multiply(a), multiply(b)),
                     multiply(add_mod(a, b, bls12_order))});
    for (const size_t points : {1, 2, 4, 6, 16, 32, 128}) {
        Bytes input;
        U256 sum;
        for (size_t i = 0; i < points; ++i) {
            const U256 factor = scalar();
            const U256 s = scalar();
            append(input, join(multiply(factor), big_endian(s)));
            sum = add_mod(sum, mul_mod(factor, s, bls12_order), bls12_order);
        }
        cases.push_back({"bls12_" + group + "_msm/" + std::to_string(points), add_number + 1,
                         std::move(input), multiply(sum)});
    }
}

void add_bls12_pairing(Cases& cases, Numbers& numbers) {
    const auto scalar = [&] { return numbers.word() % bls12_order; };
    cases.push_back({"bls12_pairing/1", 0x0f, join(bls12_g1(scalar()), bls12_g2(scalar())),
                     big_endian(U256{})});
    for (const size_t pairs : {2, 4, 8}) {
        Bytes input;
        for (size_t i = 0; i < pairs; i += 2) {
            const U256 u = scalar();
            const U256 v = scalar();
            const U256 w = scalar();
            append(input, join(bls12_g1(mul_mod(u, v, bls12_order)), bls12_g2(w),
                               bls12_g1(bls12_order - u), bls12_g2(mul_mod(v, w, bls12_order))));
        }
        cases.push_back({"bls12_pairing/" + std::to_string(pairs), 0x0f, std::move(input),
                         big_endian(U256{1})});
    }
}

/// The examples of RFC 9380 (J.9.2 and J.10.2, empty message).
void add_bls12_maps(Cases& cases) {
    cases.push_back(
        {"bls12_map_fp_to_g1", 0x10,
         bls12_field("156c8a6a2c184569d69a76be144b5cdc5141d2d2ca4fe341f011e25e3969c55a"
                     "d9e9b9ce2eb833c81a908e5fa4ac5f03"),
         join(bls12_field("184bb665c37ff561a89ec2122dd343f20e0f4cbcaec84e3c3052ea81d1834e19"
                          "2c426074b02ed3dca4e7676ce4ce48ba"),
              bls12_field("04407b8d35af4dacc809927071fc0405218f1401a6d15af775810e4e460064bc"
                          "c9468beeba82fdc751be70476c888bf3"))});
    cases.push_back(
        {"bls12_map_fp2_to_g2", 0x11,
         join(bls12_field("07355d25caf6e7f2f0cb2812ca0e513bd026ed09dda65b177500fa31714e09ea"
                          "0ded3a078b526bed3307f804d4b93b04"),
              bls12_field("02829ce3c021339ccb5caf3e187f6370e1e2a311dec9b75363117063ab201560"
                          "3ff52c3d3b98f19c2f65575e99e8b78c")),
         join(bls12_field("00e7f4568a82b4b7dc1f14c6aaa055edf51502319c723c4dc2688c7fe5944c21"
                          "3f510328082396515734b6612c4e7bb7"),
              bls12_field("126b855e9e69b1f691f816e48ac6977664d24d99f8724868a184186469ddfd46"
                          "17367e94527d4b74fc86413483afb35b"),
              bls12_field("0caead0fd7b6176c01436833c79d305c78be307da5f6af6c133c47311def6ff1"
                          "e0babf57a0fb5539fce7ee12407b0a42"),
              bls12_field("1498aadcf7ae2b345243e281ae076df6de84455d766ab6fcdaad71fab60abb2e"
                          "8b980a440043cd305db09d283c895e3d"))});
}

/// The signature of RFC 6979, A.2.5, SHA-256 of "sample".
void add_p256(Cases& cases) {
    cases.push_back({"p256_verify", 0x100,
                     hex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf"
                         "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
                         "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
                         "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                         "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"),
                     big_endian(U256{1})});
}

}  // namespace

std::vector<PrecompileCase> precompile_cases() {
    Cases cases;
    Numbers numbers;
    add_ecrecover(cases, numbers);
    add_hashes(cases);
    add_modexp(cases, numbers);
    add_bn254(cases, numbers);
    add_blake2f(cases);
    add_kzg(cases, numbers);
    add_bls12_group(cases, numbers, "g1", 0x0b, bls12_g1);
    add_bls12_group(cases, numbers, "g2", 0x0d, bls12_g2);
    add_bls12_pairing(cases, numbers);
    add_bls12_maps(cases);
    add_p256(cases);
    return cases;
}

}  // namespace millrace::node
