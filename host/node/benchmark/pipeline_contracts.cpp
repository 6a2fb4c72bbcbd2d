// SPDX-License-Identifier: Apache-2.0
// Owns the code and the storage layout of the contracts that the pipeline's measurement calls.
#include "host/node/benchmark/pipeline_contracts.hpp"

#include <filesystem>

#include "host/base/hex.hpp"
#include "host/node/json.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::node {
namespace {

// tests/e2e/contracts/PipelineToken.sol and PipelineRouter.sol by solc 0.8.37: optimizer with
// 10,000 runs, evmVersion cancun, no metadata. tests/e2e/pipeline_contracts.test.mjs compiles them
// again and compares.
constexpr std::string_view token_hex =
    "608060405234801561000f575f5ffd5b506004361061009f575f3560e01c8063313ce5671161007257806395"
    "d89b411161005857806395d89b411461017b578063a9059cbb146101b7578063dd62ed3e146101ca575f5ffd"
    "5b8063313ce5671461014257806370a082311461015c575f5ffd5b806306fdde03146100a3578063095ea7b3"
    "146100f557806318160ddd1461011857806323b872dd1461012f575b5f5ffd5b6100df604051806040016040"
    "5280600881526020017f506970656c696e650000000000000000000000000000000000000000000000008152"
    "5081565b6040516100ec91906104cf565b60405180910390f35b61010861010336600461054a565b6101f456"
    "5b60405190151581526020016100ec565b61012160025481565b6040519081526020016100ec565b61010861"
    "013d366004610572565b61026c565b61014a601281565b60405160ff90911681526020016100ec565b610121"
    "61016a3660046105ac565b5f6020819052908152604090205481565b6100df60405180604001604052806004"
    "81526020017f504950450000000000000000000000000000000000000000000000000000000081525081565b"
    "6101086101c536600461054a565b61035d565b6101216101d83660046105cc565b600160209081525f928352"
    "604080842090915290825290205481565b335f81815260016020908152604080832073ffffffffffffffffff"
    "ffffffffffffffffffffff8716808552925280832085905551919290917f8c5be1e5ebec7d5bd14f71427d1e"
    "84f3dd0314c0f7b2291e5b200ac8c7c3b9259061025b9086815260200190565b60405180910390a350600192"
    "915050565b73ffffffffffffffffffffffffffffffffffffffff83165f908152600160209081526040808320"
    "3384529091528120547fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff8114"
    "6103475782811015610312576040517f192b9e4e000000000000000000000000000000000000000000000000"
    "00000000815233600482015260248101829052604481018490526064015b60405180910390fd5b73ffffffff"
    "ffffffffffffffffffffffffffffffff85165f90815260016020908152604080832033845290915290208382"
    "0390555b610352858585610372565b506001949350505050565b5f610369338484610372565b506001929150"
    "50565b73ffffffffffffffffffffffffffffffffffffffff82166103d7576040517f9cfea583000000000000"
    "00000000000000000000000000000000000000000000815273ffffffffffffffffffffffffffffffffffffff"
    "ff83166004820152602401610309565b73ffffffffffffffffffffffffffffffffffffffff83165f90815260"
    "2081905260409020548181101561045c576040517fdb42144d00000000000000000000000000000000000000"
    "000000000000000000815273ffffffffffffffffffffffffffffffffffffffff851660048201526024810182"
    "905260448101839052606401610309565b73ffffffffffffffffffffffffffffffffffffffff8481165f8181"
    "5260208181526040808320878703905593871680835291849020805487019055925185815290927fddf252ad"
    "1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef910160405180910390a350505050565b"
    "602081525f82518060208401528060208501604085015e5f6040828501015260407fffffffffffffffffffff"
    "ffffffffffffffffffffffffffffffffffffffffffe0601f83011684010191505092915050565b803573ffff"
    "ffffffffffffffffffffffffffffffffffff81168114610545575f5ffd5b919050565b5f5f60408385031215"
    "61055b575f5ffd5b61056483610522565b946020939093013593505050565b5f5f5f60608486031215610584"
    "575f5ffd5b61058d84610522565b925061059b60208501610522565b92959294505050604091909101359056"
    "5b5f602082840312156105bc575f5ffd5b6105c582610522565b9392505050565b5f5f604083850312156105"
    "dd575f5ffd5b6105e683610522565b91506105f460208401610522565b9050925092905056";
constexpr std::string_view router_hex =
    "608060405234801561000f575f5ffd5b5060043610610029575f3560e01c8063bce3a9cc1461002d575b5f5f"
    "fd5b61004061003b366004610300565b610052565b60405190815260200160405180910390f35b6040517f23"
    "b872dd00000000000000000000000000000000000000000000000000000000815233600482015273ffffffff"
    "ffffffffffffffffffffffffffffffff8681166024830152604482018490525f91908616906323b872dd9060"
    "64016020604051808303815f875af11580156100cd573d5f5f3e3d5ffd5b505050506040513d601f19601f82"
    "0116820180604052508101906100f19190610357565b6100f9575f5ffd5b5f5f8773ffffffffffffffffffff"
    "ffffffffffffffffffff16630902f1ac6040518163ffffffff1660e01b815260040160606040518083038186"
    "5afa158015610144573d5f5f3e3d5ffd5b505050506040513d601f19601f8201168201806040525081019061"
    "0168919061039b565b506dffffffffffffffffffffffffffff1691506dffffffffffffffffffffffffffff16"
    "91508561019457905b5f6101a1866103e5610414565b9050806101b0846103e8610414565b6101ba91906104"
    "31565b6101c48383610414565b6101ce9190610444565b935084841015610211576040517f5cfa1edd000000"
    "0000000000000000000000000000000000000000000000000081526004810185905260240160405180910390"
    "fd5b8873ffffffffffffffffffffffffffffffffffffffff1663022c0d9f88610238578561023a565b5f5b89"
    "610245575f610247565b865b6040517fffffffff000000000000000000000000000000000000000000000000"
    "0000000060e085901b16815260048101929092526024820152336044820152608060648201525f6084820152"
    "60a4015f604051808303815f87803b1580156102ad575f5ffd5b505af11580156102bf573d5f5f3e3d5ffd5b"
    "5050505050505095945050505050565b73ffffffffffffffffffffffffffffffffffffffff811681146102f0"
    "575f5ffd5b50565b80151581146102f0575f5ffd5b5f5f5f5f5f60a08688031215610314575f5ffd5b853561"
    "031f816102cf565b9450602086013561032f816102cf565b9350604086013561033f816102f3565b94979396"
    "509394606081013594506080013592915050565b5f60208284031215610367575f5ffd5b8151610372816102"
    "f3565b9392505050565b80516dffffffffffffffffffffffffffff81168114610396575f5ffd5b919050565b"
    "5f5f5f606084860312156103ad575f5ffd5b6103b684610379565b92506103c460208501610379565b915060"
    "4084015163ffffffff811681146103dc575f5ffd5b809150509250925092565b7f4e487b7100000000000000"
    "0000000000000000000000000000000000000000005f52601160045260245ffd5b8082028115828204841417"
    "61042b5761042b6103e7565b92915050565b8082018082111561042b5761042b6103e7565b5f82610477577f"
    "4e487b71000000000000000000000000000000000000000000000000000000005f52601260045260245ffd5b"
    "50049056";

void append_word(Bytes& out, const U256& value) {
    const Hash256 word = to_hash(value);
    out.insert(out.end(), word.begin(), word.end());
}

/// Slot of a mapping's element, as Solidity lays storage out.
U256 mapping_slot(const U256& key, const U256& base) {
    Bytes preimage;
    append_word(preimage, key);
    append_word(preimage, base);
    return to_u256(kernels::keccak256(preimage));
}

Bytes calldata(uint32_t selector, std::initializer_list<U256> words) {
    Bytes out = {static_cast<uint8_t>(selector >> 24), static_cast<uint8_t>(selector >> 16),
                 static_cast<uint8_t>(selector >> 8), static_cast<uint8_t>(selector)};
    for (const U256& w : words) { append_word(out, w); }
    return out;
}

}  // namespace

Bytes pipeline_token_code() { return *from_hex(token_hex); }
Bytes pipeline_router_code() { return *from_hex(router_hex); }

Result<Bytes> uniswap_pair_code(const std::string& artifacts) {
    const std::string path = artifacts + "/@uniswap/v2-core/build/UniswapV2Pair.json";
    std::error_code ec;
    if (!std::filesystem::exists(path, ec)) {
        return fail(ErrorCode::not_found,
                    "swaps need the compiled @uniswap/v2-core, and there is no " + path +
                        "; give the node_modules folder with --artifacts (npm ci in tests/e2e "
                        "makes one)");
    }
    MILLRACE_TRY(const boost::json::value build, read_json_file(path));
    const boost::json::value* at = &build;
    for (const char* key : {"evm", "deployedBytecode", "object"}) {
        at = at == nullptr ? nullptr : find(*at, key);
    }
    if (at == nullptr || !at->is_string()) {
        return fail(ErrorCode::invalid_input, path + " has no evm.deployedBytecode.object");
    }
    auto code = from_hex(std::string_view(at->get_string()));
    if (!code || code->empty()) {
        return fail(ErrorCode::invalid_input,
                    path + ": evm.deployedBytecode.object is not code in hexadecimal form");
    }
    return std::move(*code);
}

U256 token_balance_slot(const Address& holder) { return mapping_slot(to_u256(holder), U256{0}); }

U256 token_allowance_slot(const Address& owner, const Address& spender) {
    return mapping_slot(to_u256(spender), mapping_slot(to_u256(owner), U256{1}));
}

Bytes transfer_calldata(const Address& to, const U256& amount) {
    return calldata(0xa9059cbb, {to_u256(to), amount});
}

Bytes sell_calldata(const Address& pair, const Address& token, bool first, const U256& amount) {
    return calldata(0xbce3a9cc, {to_u256(pair), to_u256(token), U256{first ? 1u : 0u}, amount, {}});
}

std::vector<std::pair<U256, U256>> pair_storage(const Address& token0, const Address& token1,
                                                const U256& reserve0, const U256& reserve1) {
    // UniswapV2ERC20 has slots 0 to 4; both reserves and the time of the last swap share one.
    return {{U256{6}, to_u256(token0)},
            {U256{7}, to_u256(token1)},
            {U256{8}, reserve0 | reserve1 << 112},
            {U256{12}, U256{1}}};
}

}  // namespace millrace::node
