/* SPDX-License-Identifier: Apache-2.0 */
/* A module of the references alone: second_opinion.py loads it. */
typedef int references_module;
