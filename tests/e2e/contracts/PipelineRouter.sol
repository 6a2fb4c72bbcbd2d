// SPDX-License-Identifier: Apache-2.0
// Owns the step from a trader's account to a pair of Uniswap V2 in `millrace bench pipeline`; its code is in
// host/node/benchmark/pipeline_contracts.cpp.
pragma solidity ^0.8.20;

interface Token {
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

interface Pair {
    function getReserves() external view returns (uint112, uint112, uint32);
    function swap(uint256 out0, uint256 out1, address to, bytes calldata data) external;
}

contract PipelineRouter {
    error TooLittle(uint256 out);

    /// Sells `amount` of `token`, which is the pair's first token or its second.
    function sell(Pair pair, Token token, bool first, uint256 amount, uint256 least) external returns (uint256 out) {
        require(token.transferFrom(msg.sender, address(pair), amount));
        (uint256 reserve_in, uint256 reserve_out, ) = pair.getReserves();
        if (!first) (reserve_in, reserve_out) = (reserve_out, reserve_in);
        uint256 paid = amount * 997;
        out = (paid * reserve_out) / (reserve_in * 1000 + paid);
        if (out < least) revert TooLittle(out);
        pair.swap(first ? 0 : out, first ? out : 0, msg.sender, "");
    }
}
