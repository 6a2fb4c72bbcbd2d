// SPDX-License-Identifier: Apache-2.0
// Owns the reading of artifacts and the layout of call data.
#include "host/load/contracts.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <simdjson.h>

#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::load {

namespace {

constexpr std::uintmax_t artifact_bytes_max = 64 << 20;

Result<Bytes> read_artifact(const std::string& folder, const std::string& package,
                            const std::string& name) {
    namespace fs = std::filesystem;
    const std::string file = name + ".json";
    const std::string in_package = package + "/build/" + file;
    for (const std::string& candidate :
         {file, in_package, "@uniswap/" + in_package, "node_modules/@uniswap/" + in_package}) {
        const fs::path path = fs::path(folder) / candidate;
        std::error_code error;
        if (!fs::is_regular_file(path, error)) { continue; }
        if (fs::file_size(path, error) > artifact_bytes_max || error) {
            return fail(ErrorCode::invalid_input, path.string() + " is too large for an artifact");
        }
        std::ifstream in(path, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        if (!in) { return fail(ErrorCode::io, "cannot read " + path.string()); }
        return parse_artifact(text, path.string());
    }
    return fail(ErrorCode::not_found,
                "the profile needs " + file + " of the npm package @uniswap/" + package +
                    ", which is not below '" + folder +
                    "'; run `npm ci` in tests/e2e and give its node_modules with --artifacts");
}

void append_words(Bytes& out, std::initializer_list<Word> words) {
    for (const Word& word : words) { out.insert(out.end(), word.bytes.begin(), word.bytes.end()); }
}

}  // namespace

Result<Bytes> parse_artifact(std::string_view json, const std::string& origin) {
    simdjson::dom::parser parser;
    simdjson::dom::element bytecode;
    std::string_view digits;
    const simdjson::padded_string padded(json);
    if (parser.parse(padded).at_key("bytecode").get(bytecode) != simdjson::SUCCESS) {
        return fail(ErrorCode::invalid_input, origin + " is no artifact: it has no \"bytecode\"");
    }
    if (bytecode.is_object()) {
        simdjson::dom::element object;
        if (bytecode.at_key("object").get(object) == simdjson::SUCCESS) { bytecode = object; }
    }
    if (bytecode.is_string()) { digits = bytecode.get_string().value_unsafe(); }
    auto code = from_hex(digits);
    if (!code || code->empty()) {
        return fail(ErrorCode::invalid_input,
                    origin + " has no usable bytecode: an interface, or not linked");
    }
    return code;
}

Result<Artifacts> read_artifacts(const std::string& folder, bool exchange) {
    Artifacts out;
    MILLRACE_TRY(out.token, read_artifact(folder, "v2-core", "ERC20"));
    if (!exchange) { return out; }
    MILLRACE_TRY(out.factory, read_artifact(folder, "v2-core", "UniswapV2Factory"));
    MILLRACE_TRY(out.weth, read_artifact(folder, "v2-periphery", "WETH9"));
    MILLRACE_TRY(out.router, read_artifact(folder, "v2-periphery", "UniswapV2Router02"));
    return out;
}

Word::Word(const U256& value) {
    for (size_t i = 0; i < 32; ++i) {
        bytes[31 - i] = static_cast<uint8_t>(value.w[i / 8] >> (i % 8 * 8));
    }
}

Word::Word(uint64_t value) : Word(U256(value)) {}

Word::Word(const Address& address) {
    std::copy(address.begin(), address.end(), bytes.begin() + 12);
}

Bytes call_data(std::string_view signature, std::initializer_list<Word> words) {
    const Hash256 hash = kernels::keccak256(as_bytes(signature));
    Bytes out(hash.begin(), hash.begin() + 4);
    append_words(out, words);
    return out;
}

Bytes creation_data(const Bytes& code, std::initializer_list<Word> words) {
    Bytes out = code;
    append_words(out, words);
    return out;
}

}  // namespace millrace::load
