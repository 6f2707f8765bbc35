/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One launch on Vulkan's own interface, without the compiler and its runtime.
 *
 *   cc main.c -o main -lvulkan -lm && ./main [part of a device's name]
 *
 * kernel.spv is the code; launch.h the launch; buf_*.bin the memory before it. All memory is
 * host-visible and reached by address; the code's five words come as push constants.
 */
#include <vulkan/vulkan.h>

#include "common.h"

enum { MOST_DEVICES = 16, SCRATCH_LIMIT = 256 << 20 };

typedef struct memory {
    VkBuffer buffer;
    uint64_t address;
    void *host;
} memory;

static VkPhysicalDevice physical;
static VkDevice device;

static void check(const char *what, VkResult r) {
    if (r != VK_SUCCESS) {
        die(what, r);
    }
}

static void find_device(const char *part) {
    VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                             .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &app};
    VkInstance instance;
    VkPhysicalDevice all[MOST_DEVICES];
    uint32_t n = MOST_DEVICES;
    check("vkCreateInstance", vkCreateInstance(&info, NULL, &instance));
    VkResult r = vkEnumeratePhysicalDevices(instance, &n, all);
    for (uint32_t i = 0; r >= 0 && i < n; i++) {
        VkPhysicalDeviceProperties p;
        vkGetPhysicalDeviceProperties(all[i], &p);
        if (strstr(p.deviceName, part)) {
            printf("device: %s\n", p.deviceName);
            physical = all[i];
            return;
        }
    }
    fprintf(stderr, "no Vulkan device has `%s` in its name\n", part);
    exit(1);
}

/* Everything the device has of what the code may use. */
static uint32_t open_device(void) {
    VkPhysicalDeviceVulkan12Features f12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceVulkan11Features f11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &f12};
    VkPhysicalDeviceFeatures2 f = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                   .pNext = &f11};
    vkGetPhysicalDeviceFeatures2(physical, &f);
    f12.bufferDeviceAddressCaptureReplay = VK_FALSE;
    f12.bufferDeviceAddressMultiDevice = VK_FALSE;
    f.features.robustBufferAccess = VK_FALSE;
    VkQueueFamilyProperties families[MOST_DEVICES];
    uint32_t n = MOST_DEVICES, family = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, families);
    while (family < n && !(families[family].queueFlags & VK_QUEUE_COMPUTE_BIT)) {
        family++;
    }
    float one = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &one};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &f,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue};
    check("vkCreateDevice", vkCreateDevice(physical, &info, NULL, &device));
    return family;
}

static memory allocate(size_t bytes) {
    memory m = {0};
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = bytes ? bytes : 16,
                               .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                        VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    check("vkCreateBuffer", vkCreateBuffer(device, &info, NULL, &m.buffer));
    VkMemoryRequirements need;
    vkGetBufferMemoryRequirements(device, m.buffer, &need);
    VkPhysicalDeviceMemoryProperties p;
    vkGetPhysicalDeviceMemoryProperties(physical, &p);
    uint32_t type = 0;
    VkMemoryPropertyFlags wanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    while (type < p.memoryTypeCount && (!(need.memoryTypeBits >> type & 1) ||
                                        (p.memoryTypes[type].propertyFlags & wanted) != wanted)) {
        type++;
    }
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo a = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                              .pNext = &flags,
                              .allocationSize = need.size,
                              .memoryTypeIndex = type};
    VkDeviceMemory own;
    check("vkAllocateMemory", vkAllocateMemory(device, &a, NULL, &own));
    check("vkBindBufferMemory", vkBindBufferMemory(device, m.buffer, own, 0));
    check("vkMapMemory", vkMapMemory(device, own, 0, VK_WHOLE_SIZE, 0, &m.host));
    VkBufferDeviceAddressInfo where = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                       .buffer = m.buffer};
    m.address = vkGetBufferDeviceAddress(device, &where);
    return m;
}

static VkPipeline make_pipeline(VkPipelineLayout layout) {
    size_t bytes;
    VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
    code.pCode = read_file("kernel.spv", &bytes);
    code.codeSize = bytes;
    VkShaderModule module;
    VkPipeline pipeline;
    check("vkCreateShaderModule", vkCreateShaderModule(device, &code, NULL, &module));
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = entry},
        .layout = layout};
    check("vkCreateComputePipelines",
          vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
    return pipeline;
}

/* Programs first to end, five words of push constants, and waits. */
static void dispatch(uint32_t family, VkPipelineLayout layout, VkPipeline pipeline,
                     const uint64_t words[5]) {
    VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                         .queueFamilyIndex = family};
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkQueue queue;
    check("vkCreateCommandPool", vkCreateCommandPool(device, &pool_info, NULL, &pool));
    VkCommandBufferAllocateInfo one = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                       .commandPool = pool,
                                       .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                       .commandBufferCount = 1};
    check("vkAllocateCommandBuffers", vkAllocateCommandBuffers(device, &one, &commands));
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    check("vkBeginCommandBuffer", vkBeginCommandBuffer(commands, &begin));
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, 5 * sizeof *words, words);
    uint64_t n = words[2] - words[1], x = n < 65535 ? n : 65535;
    vkCmdDispatch(commands, (uint32_t)x, (uint32_t)((n + x - 1) / x), 1);
    VkMemoryBarrier seen = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                            .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                         0, 1, &seen, 0, NULL, 0, NULL);
    check("vkEndCommandBuffer", vkEndCommandBuffer(commands));
    vkGetDeviceQueue(device, family, 0, &queue);
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &commands};
    check("vkQueueSubmit", vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE));
    check("vkQueueWaitIdle", vkQueueWaitIdle(queue));
    vkDestroyCommandPool(device, pool, NULL);
}

int main(int argc, char **argv) {
    find_device(argc > 1 ? argv[1] : device_name);
    uint32_t family = open_device();
    VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                .size = 5 * sizeof(uint64_t)};
    VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                       .pushConstantRangeCount = 1,
                                       .pPushConstantRanges = &push};
    VkPipelineLayout layout;
    check("vkCreatePipelineLayout", vkCreatePipelineLayout(device, &info, NULL, &layout));
    VkPipeline pipeline = make_pipeline(layout);

    memory mem[N_BUFFERS + 1];
    for (int i = 0; i < N_BUFFERS; i++) {
        void *data = read_buffer(i);
        mem[i] = allocate(buffers[i].bytes);
        memcpy(mem[i].host, data, buffers[i].bytes);
        free(data);
    }
    memory slot_memory = allocate(sizeof(int64_t) * N_SLOTS), report = allocate(16);
    for (int i = 0; i < N_SLOTS; i++) {
        int64_t v = slots[i].value;
        v += slots[i].buffer >= 0 ? (int64_t)mem[slots[i].buffer].address : 0;
        memcpy((char *)slot_memory.host + 8 * i, &v, 8);
    }
    memset(report.host, 0, 16);
    int64_t slice = programs;
    if (scratch_bytes && (int64_t)(SCRATCH_LIMIT / scratch_bytes) < slice) {
        slice = SCRATCH_LIMIT / scratch_bytes > 0 ? (int64_t)(SCRATCH_LIMIT / scratch_bytes) : 1;
    }
    memory scratch = allocate((size_t)slice * (size_t)scratch_bytes);
    for (int64_t at = 0; at < programs; at += slice) {
        int64_t end = programs - at < slice ? programs : at + slice;
        uint64_t words[5] = {slot_memory.address, (uint64_t)at, (uint64_t)end, scratch.address,
                             report.address};
        dispatch(family, layout, pipeline, words);
    }
    uint32_t trap[4];
    memcpy(trap, report.host, 16);
    if (trap[0]) {
        printf("the code gave up: trap %u at line %u\n", trap[0], trap[1]);
    }
    for (int i = 0; i < n_outputs; i++) {
        compare(&outputs[i], mem[outputs[i].buffer].host);
    }
    return trap[0] != 0;
}
